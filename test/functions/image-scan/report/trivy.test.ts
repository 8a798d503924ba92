import { describe, expect, test } from '@jest/globals';
import { maxFindings } from '../../../../functions/image-scan/report/members.ts';
import type { Report, ReportedFinding } from '../../../../functions/image-scan/report/normal-form.ts';
import { readTrivy, readTrivyArray } from '../../../../functions/image-scan/report/trivy.ts';
import { scored, trivyReport } from '../reports.ts';
import { counted, fixtureJson, onlyScan, refusal } from './refusal.ts';

const read = (vulnerabilities: readonly Record<string, unknown>[], overrides = {}): Report =>
  readTrivy(JSON.parse(trivyReport(vulnerabilities, overrides)));
const findingOf = (vulnerability: Record<string, unknown>, overrides = {}): ReportedFinding => {
  const [found, ...others] = onlyScan(read([vulnerability], overrides)).findings;
  if (!found || others.length > 0) throw new Error('not one finding');
  return found;
};
const base = scored('CVE-1', 5);

describe('a Trivy report', () => {
  test.each(['trivy-ubuntu-1804', 'trivy-alpine-310', 'trivy-all-statuses'])(
    'has in %s as many findings of each severity as Trivy counts',
    (name) => {
      const json = fixtureJson(`${name}.json`) as {
        Results: { Vulnerabilities?: { Severity: string }[] }[];
      };
      const expected: Record<string, number> = {};
      for (const { Severity } of json.Results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities)) {
        expected[Severity.toLowerCase()] = (expected[Severity.toLowerCase()] ?? 0) + 1;
      }
      expect(counted(onlyScan(readTrivy(json)))).toEqual(expected);
    },
  );

  test('gives package, purl, version, fix, all scores and when it became known', () => {
    const report = readTrivy(fixtureJson('trivy-alpine-310.json'));
    expect(report).toMatchObject({
      format: 'trivy',
      scanner: { name: 'trivy', version: 'dev' },
      createdAt: Date.parse('2021-08-25T12:20:30Z'),
    });
    const { image, findings } = onlyScan(report);
    expect(image).toMatchObject({
      references: ['ghcr.io/aquasecurity/trivy-test-images:alpine-310'],
      digests: [],
      platform: 'linux/amd64',
    });
    expect(image.imageId).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(findings[0]).toEqual({
      vulnerability: 'CVE-2019-1549',
      aliases: [],
      package: 'libcrypto1.1',
      version: '1.1.1c-r0',
      purl: 'pkg:apk/alpine/libcrypto1.1@1.1.1c-r0?arch=x86_64&distro=3.10.2',
      location: 'alpine',
      severity: 'medium',
      cvss: [
        {
          version: '3.1',
          score: 5.3,
          vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N',
          source: 'nvd',
        },
        { version: '2.0', score: 5, vector: 'AV:N/AC:L/Au:N/C:P/I:N/A:N', source: 'nvd' },
        {
          version: '3.0',
          score: 4.8,
          vector: 'CVSS:3.0/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:N',
          source: 'redhat',
        },
      ],
      fix: { state: 'fixed', versions: ['1.1.1d-r0'] },
      publishedAt: Date.parse('2019-09-10T17:15:00Z'),
    });
  });

  test('knows every name of its image, the digests of its repositories apart from the ID of its configuration', () => {
    const [one, two, id] = ['1', '2', '3'].map((each) => `sha256:${each.repeat(64)}`);
    const { image } = onlyScan(
      read([], {
        ArtifactName: `registry.example/shop/web@${one}`,
        Metadata: {
          ImageID: id,
          RepoTags: ['registry.example/shop/web:1', 'registry.example/shop/web:1'],
          RepoDigests: ['', `registry.example/shop/web@${one}`, `mirror.example/web@${two}`],
          ImageConfig: { os: 'linux', architecture: 'arm', variant: 'v7', config: { Env: ['A=b'] } },
        },
      }),
    );
    expect(image).toEqual({
      references: [`registry.example/shop/web@${one}`, 'registry.example/shop/web:1'],
      digests: [one, two],
      imageId: id,
      platform: 'linux/arm/v7',
    });
  });

  test('tells the eight states apart', () => {
    const states = onlyScan(readTrivy(fixtureJson('trivy-all-statuses.json'))).findings.map(
      ({ fix }) => fix.state,
    );
    expect(new Set(states)).toEqual(
      new Set(['fixed', 'not-fixed', 'wont-fix', 'deferred', 'end-of-life', 'unknown']),
    );
    expect(findingOf({ ...base, FixedVersion: '2.6.9, 3.1.0,' }).fix).toEqual({
      state: 'fixed',
      versions: ['2.6.9', '3.1.0'],
    });
    expect(findingOf(base).fix).toEqual({ state: 'unknown', versions: [] });
  });

  test('is named after the target of the operating system where it gives no other name', () => {
    expect(onlyScan(readTrivy(fixtureJson('trivy-all-statuses.json'))).image.references).toEqual([
      'noppaknopsta/example-app:main-159',
    ]);
    expect(
      onlyScan(read([], { ArtifactType: 'cyclonedx', ArtifactName: 'sbom.json' })).image.references,
    ).toEqual(['registry.example/shop/web:1']);
  });

  test('keeps as suppressed what a VEX document or a rule took out, without the words of people', () => {
    const [counting, suppressed] = onlyScan(readTrivy(fixtureJson('trivy-suppressed.json'))).findings;
    expect(counting).not.toHaveProperty('suppressed');
    expect(suppressed).toMatchObject({
      vulnerability: 'CVE-2017-16137',
      severity: 'low',
      suppressed: {
        status: 'not_affected',
        justification: 'vulnerable_code_not_in_execute_path',
        source: './vex.json',
      },
    });
    const modified = (each: Record<string, unknown>) =>
      onlyScan(
        read([], {
          Results: [
            {
              Class: 'os-pkgs',
              Type: 'debian',
              ExperimentalModifiedFindings: [{ Type: 'vulnerability', Finding: base, ...each }],
            },
          ],
        }),
      ).findings.map((found) => found.suppressed);
    expect(
      modified({
        Status: 'ignored',
        Statement: 'Bob says: the password is hunter2',
        Source: 'https://bob:hunter2@git.example/.trivyignore.yaml',
      }),
    ).toEqual([{ status: 'ignored', source: 'https://git.example/.trivyignore.yaml' }]);
    const long = 'h'.repeat(300);
    expect(
      modified({ Status: 'ignored', Source: `https://bob:${long}@git.example/.trivyignore.yaml` }),
    ).toEqual([{ status: 'ignored', source: 'https://git.example/.trivyignore.yaml' }]);
    expect(modified({ Status: 'under_investigation' })).toEqual([]);
    expect(modified({ Type: 'secret', Status: 'ignored', Finding: { RuleID: 'aws' } })).toEqual([]);
  });

  test('knows CVE and GHSA as names of the same, and advisories not', () => {
    expect(
      findingOf({
        ...scored('GHSA-aaaa', 5),
        VendorIDs: ['CVE-2026-1', 'DSA-4808-1', 'RHSA-2026:1', 'GHSA-aaaa', 'CVE-2026-1'],
      }).aliases,
    ).toEqual(['CVE-2026-1']);
  });

  test('takes the version of a score from its vector, and one decimal', () => {
    expect(
      findingOf({
        ...base,
        CVSS: {
          GHSA: { V3Score: 5.34999, V3Vector: 'CVSS:3.0/AV:N', V40Score: 6.3, V40Vector: 'CVSS:4.0/AV:N' },
        },
      }).cvss,
    ).toEqual([
      { version: '4.0', score: 6.3, vector: 'CVSS:4.0/AV:N', source: 'ghsa' },
      { version: '3.0', score: 5.3, vector: 'CVSS:3.0/AV:N', source: 'ghsa' },
    ]);
  });

  test('places a finding by the file of its package, else by its target, and never by the tag of the image', () => {
    expect(findingOf({ ...base, PkgPath: 'app/lib.jar' }).location).toBe('app/lib.jar');
    expect(findingOf(base).location).toBe('debian');
    const Results = [{ Target: 'app/go.sum', Class: 'lang-pkgs', Type: 'gomod', Vulnerabilities: [base] }];
    expect(findingOf(base, { Results }).location).toBe('app/go.sum');
  });

  test('leaves out a package URL that is none', () => {
    expect(findingOf({ ...base, PkgIdentifier: { PURL: 'javascript:alert(1)' } })).not.toHaveProperty('purl');
  });

  test('may leave null, empty or unset what Go leaves so', () => {
    for (const extra of [
      { Results: null },
      { Results: [{ Class: 'os-pkgs', Vulnerabilities: null }] },
      { Metadata: null, CreatedAt: '0001-01-01T00:00:00Z', Trivy: null },
    ]) {
      const report = read([], { Results: [], ArtifactName: '', ...extra });
      expect(onlyScan(report)).toEqual({ image: { references: [], digests: [] }, findings: [] });
    }
    expect(read([], { CreatedAt: '0001-01-01T00:00:00Z' })).not.toHaveProperty('createdAt');
  });

  test('is refused with REPORT_UNSUPPORTED when nobody looked for vulnerabilities: that image is not clean', () => {
    const refused = refusal(() => readTrivy(fixtureJson('trivy-licences.json')));
    expect(refused.code).toBe('REPORT_UNSUPPORTED');
    expect(refused.message).toContain('nothing about packages');
  });

  test('without results is taken of an image without packages, and refused of one whose operating system it names', () => {
    const withOs = { Metadata: { OS: { Family: 'alpine', Name: '3.20.1' } } };
    for (const Results of [[], null, undefined]) {
      expect(onlyScan(read([], { Results })).findings).toEqual([]);
      expect(refusal(() => read([], { ...withOs, Results })).code).toBe('REPORT_UNSUPPORTED');
    }
    expect(onlyScan(read([], withOs)).findings).toEqual([]);
  });

  test.each([
    ['a number where a list belongs', [], { Results: 7 }, '/Results'],
    ['a finding without its name', [{ PkgName: 'a' }], {}, '/Results/0/Vulnerabilities/0/VulnerabilityID'],
    ['a score of 11', [scored('CVE-1', 11)], {}, '/Results/0/Vulnerabilities/0/CVSS/nvd/V3Score'],
    [
      'a name of 10,000 characters',
      [{ ...base, PkgName: 'a'.repeat(10_000) }],
      {},
      '/Results/0/Vulnerabilities/0/PkgName',
    ],
  ])('is refused with REPORT_MALFORMED for %s, and says where', (_what, vulnerabilities, overrides, path) => {
    const refused = refusal(() => read(vulnerabilities, overrides));
    expect(refused.code).toBe('REPORT_MALFORMED');
    expect(refused.errors?.[0]?.path).toBe(path);
  });

  test('is refused with REPORT_MALFORMED for a time that is none', () => {
    for (const CreatedAt of ['yesterday', '2026-01-01', '2026-13-01T00:00:00Z', '1']) {
      expect(refusal(() => read([], { CreatedAt })).code).toBe('REPORT_MALFORMED');
    }
  });

  test('is given up after 20 faults, of however many', () => {
    const vulnerabilities = Array.from({ length: 10_000 }, () => ({ PkgName: 7, Severity: 7 }));
    expect(refusal(() => read(vulnerabilities)).errors).toHaveLength(20);
    const CVSS = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`s${at}`, 7]));
    expect(refusal(() => read([{ ...base, CVSS }])).errors).toHaveLength(20);
  });

  test('is refused with PAYLOAD_TOO_LARGE for more findings than any report may have, in one list or in several', () => {
    const Vulnerabilities = Array.from({ length: maxFindings + 1 }, () => ({}));
    expect(refusal(() => read([], { Results: [{ Vulnerabilities }] })).code).toBe('PAYLOAD_TOO_LARGE');
    const half = Array.from({ length: maxFindings / 2 + 1 }, () => ({ VulnerabilityID: 'C', PkgName: '' }));
    expect(
      refusal(() => read([], { Results: [{ Vulnerabilities: half }, { Vulnerabilities: half }] })).code,
    ).toBe('PAYLOAD_TOO_LARGE');
  });
});

describe('a report of a Trivy before schema 2', () => {
  test('counts every entry, one without a name and severity too', () => {
    const report = readTrivyArray(fixtureJson('trivy-array-mix.json'));
    expect(report).toMatchObject({ format: 'trivy-array', scanner: { name: 'trivy' } });
    const scan = onlyScan(report);
    expect(counted(scan)).toEqual({ high: 6, unknown: 1 });
    expect(scan.image).toEqual({ references: ['trivy-ci-test'], digests: [] });
    expect(scan.findings.map(({ vulnerability, location }) => [vulnerability, location]).slice(0, 3)).toEqual(
      [
        ['unnamed', 'php-app/composer.lock'],
        ['CVE-2018-16487', 'node-app/package-lock.json'],
        ['CVE-2018-16840', 'alpine'],
      ],
    );
  });

  test('may name nothing that was scanned', () => {
    expect(onlyScan(readTrivyArray([{ Target: 'go.sum', Type: 'gomod', Vulnerabilities: null }]))).toEqual({
      image: { references: [], digests: [] },
      findings: [],
    });
  });
});
