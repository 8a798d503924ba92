import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { maxFindings } from '../../../../functions/image-scan/report/members.ts';
import { readSarif } from '../../../../functions/image-scan/report/sarif.ts';
import { readTrivy } from '../../../../functions/image-scan/report/trivy.ts';
import { counted, fixtureJson, onlyScan, refusal, scansOf } from './refusal.ts';
import { replacedMember } from './replaced-member.ts';

type Members = Readonly<Record<string, unknown>>;

const runOf = (name: string, results: unknown, { rules = [], ...others }: Members = {}) => ({
  tool: { driver: { name, rules } },
  results,
  ...others,
});
const sarif = (...runs: readonly unknown[]) => ({ version: '2.1.0', runs });
const scan = (name: string, results: readonly unknown[], others: Members = {}) =>
  onlyScan(readSarif(sarif(runOf(name, results, others))));

/** A result as Trivy writes it since 2021. */
const ofTrivy = (severity = 'HIGH', { package: name = 'libc6', fixed = '', ...others }: Members = {}) => ({
  ruleId: 'CVE-2020-1',
  level: 'error',
  message: {
    text:
      `Package: ${String(name)}\nInstalled Version: 2.36\nVulnerability CVE-2020-1\n` +
      `Severity: ${severity}\nFixed Version: ${String(fixed)}\nLink: [CVE-2020-1](https://avd.example/CVE-2020-1)`,
  },
  ...others,
});
const rule = (properties: Members, others: Members = {}) => ({ id: 'CVE-2020-1', properties, ...others });

/** A result as Grype writes it since 2023. */
const ofGrype = (image: string, others: Members = {}) => ({
  ruleId: 'CVE-2020-1-libc6',
  message: {
    text: `A high vulnerability in deb package: libc6, version 2.36 was found in image ${image} at: /var/lib/dpkg/status`,
  },
  ...others,
});

const codeOf = (report: unknown) => refusal(() => readSarif(report)).code;

describe("Trivy's SARIF", () => {
  test('gives what its JSON gives of the same image, but for package URLs, places and sources', () => {
    const report = readSarif(fixtureJson('trivy-alpine-310.sarif'));
    expect([report.format, report.scanner]).toEqual(['sarif', { name: 'trivy', version: 'dev' }]);
    const [bySarif, byJson] = [onlyScan(report), onlyScan(readTrivy(fixtureJson('trivy-alpine-310.json')))];
    expect(counted(bySarif)).toEqual(counted(byJson));
    const told = ({ findings }: typeof bySarif) =>
      findings.map(({ vulnerability, version, severity, fix, ...others }) => [
        vulnerability,
        others.package,
        version,
        severity,
        fix,
      ]);
    expect(told(bySarif)).toEqual(told(byJson));
    expect(bySarif.image).toEqual({
      references: [
        'testdata/fixtures/images/alpine-310.tar.gz',
        'ghcr.io/aquasecurity/trivy-test-images:alpine-310',
      ],
      digests: [],
      imageId: 'sha256:961769676411f082461f9ef46626dd7a2d1e2b2a38e6a44364bcbecf51e66dd4',
    });
    expect(bySarif.findings[0]?.cvss).toEqual([
      {
        version: '3.1',
        score: 5.3,
        vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N',
        source: 'trivy',
      },
      { version: '2.0', score: 5, vector: 'AV:N/AC:L/Au:N/C:P/I:N/A:N', source: 'trivy' },
    ]);
  });

  test("has the image's digest where the run names the image", () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const properties = {
      imageName: 'debian:12',
      repoTags: ['debian:12'],
      repoDigests: [`debian@${digest}`, ''],
      imageID: `sha256:${'b'.repeat(64)}`,
    };
    expect(scan('Trivy', [], { properties }).image).toEqual({
      references: ['debian:12'],
      digests: [digest],
      imageId: `sha256:${'b'.repeat(64)}`,
    });
  });

  test("takes the severity of the finding, not its rule's, which is that of another package's", () => {
    const rules = [rule({ tags: ['vulnerability', 'security', 'CRITICAL'], 'security-severity': '9.5' })];
    const { findings } = scan('Trivy', [ofTrivy('LOW'), ofTrivy('UNKNOWN', { package: 'libssl' })], {
      rules,
    });
    expect(findings.map(({ severity }) => severity)).toEqual(['low', 'unknown']);
  });

  test.each([
    ['its tags', { level: 'note' }, { tags: ['vulnerability', 'security', 'HIGH'] }, 'high'],
    ['its score, 9.0 and above', { level: 'note' }, { 'security-severity': '9.0' }, 'critical'],
    ['its score as a number', { level: 'note' }, { 'security-severity': 6.9 }, 'medium'],
    ['its level', { level: 'warning' }, {}, 'medium'],
    ['nothing', {}, {}, 'unknown'],
  ])(
    'takes the severity of a result without a readable message from %s',
    (_from, result, properties, severity) => {
      const { findings } = scan(
        'Trivy',
        [{ ruleId: 'CVE-2020-1', message: { text: 'Free text.' }, ...result }],
        {
          rules: [rule(properties)],
        },
      );
      expect(findings).toMatchObject([{ vulnerability: 'CVE-2020-1', package: '', version: '', severity }]);
    },
  );

  test('keeps vulnerabilities only: no misconfiguration, secret or licence', () => {
    const kinds = ['misconfiguration', 'secret', 'license', 'vulnerability'];
    const rules = kinds.map((kind) => ({ id: kind, properties: { tags: [kind, 'security', 'HIGH'] } }));
    const results = kinds.map((kind) => ({ ruleId: kind, message: { text: 'Free text.' } }));
    const artifact = {
      ruleId: 'KSV001',
      message: { text: 'Artifact: deployment.yaml\nType: \nSeverity: HIGH' },
    };
    expect(
      scan('Trivy', [...results, artifact], { rules }).findings.map((each) => each.vulnerability),
    ).toEqual(['vulnerability']);
  });

  test('is refused with REPORT_UNSUPPORTED where all of its results are something else: nobody may have looked for vulnerabilities', () => {
    const rules = [{ id: 'aws-key', properties: { tags: ['secret', 'security', 'HIGH'] } }];
    const results = [{ ruleId: 'aws-key', message: { text: 'Free text.' } }];
    expect(refusal(() => scan('Trivy', results, { rules })).code).toBe('REPORT_UNSUPPORTED');
    expect(scan('Trivy', []).findings).toEqual([]);
  });

  test('keeps vulnerabilities of packages that are called secret: tags of 2020 name the package, too', () => {
    const rules = [rule({ tags: ['vulnerability', 'HIGH', 'secret'] })];
    expect(scan('Trivy', [ofTrivy()], { rules }).findings).toHaveLength(1);
  });

  test('reads the reports of 2020, whose rules are named by severity and hold the package in their help', () => {
    const help = {
      text: 'Vulnerability CVE-2020-7\nSeverity: HIGH\nPackage: foo\nInstalled Version: 1.2.3\nFixed Version: 1.2.4, 1.3\nLink: x',
    };
    const { findings } = scan(
      'Trivy',
      [{ ruleId: '[HIGH] CVE-2020-7', ruleIndex: 1, message: { text: 'A description.' } }],
      { rules: [{ id: 'other' }, { id: '[HIGH] CVE-2020-7', help }] },
    );
    expect(findings).toMatchObject([
      {
        vulnerability: 'CVE-2020-7',
        package: 'foo',
        version: '1.2.3',
        severity: 'high',
        fix: { state: 'fixed', versions: ['1.2.4', '1.3'] },
      },
    ]);
    const unread = scan('Trivy', [{ ruleId: 'app (debian 10): foo-1 CVE-2020-8', message: { text: 'x' } }]);
    expect(unread.findings[0]?.vulnerability).toBe('CVE-2020-8');
  });

  test('leaves out what stands for a score where other rules show that scores are marked', () => {
    const unscored = rule({ tags: ['vulnerability', 'security', 'HIGH'], 'security-severity': '8.0' });
    const scored = { id: 'CVE-2020-2', properties: { cvssv3_baseScore: 5.3, 'security-severity': '5.3' } };
    expect(scan('Trivy', [ofTrivy()], { rules: [unscored, scored] }).findings[0]?.cvss).toEqual([]);
    // It stands for the severity of the rule, which is that of another package's finding.
    expect(scan('Trivy', [ofTrivy('LOW')], { rules: [unscored, scored] }).findings[0]?.cvss).toEqual([]);
    // As it could be a score, it counts as one where none is marked: nothing passes for being old.
    expect(scan('Trivy', [ofTrivy()], { rules: [unscored] }).findings[0]?.cvss).toEqual([
      { version: '3.1', score: 8, source: 'trivy' },
    ]);
  });

  test('has the file of a package as its place, and of the operating system never the image', () => {
    const at = (uri: string) => ({ locations: [{ physicalLocation: { artifactLocation: { uri } } }] });
    const { findings } = scan(
      'Trivy',
      [
        ofTrivy('HIGH', { ruleIndex: 0, ...at('library/debian') }),
        ofTrivy('HIGH', { ruleIndex: 1, ...at('app/my%20lib.jar') }),
        ofTrivy('HIGH', { ruleIndex: 1, ...at('100%') }),
        ofTrivy('HIGH', { ruleIndex: 1, locations: null }),
      ],
      { rules: [rule({}, { name: 'OsPackageVulnerability' }), rule({})] },
    );
    expect(findings.map(({ location }) => location)).toEqual(['os-pkgs', 'app/my lib.jar', '100%', '']);
  });
});

describe("Grype's SARIF", () => {
  test('gives what its own test expects of an image', () => {
    const { image, findings } = onlyScan(readSarif(fixtureJson('grype-image.sarif')));
    expect(image).toEqual({ references: ['user-input'], digests: [] });
    expect(findings).toEqual([
      {
        vulnerability: 'CVE-1999-0001',
        aliases: [],
        package: 'package-1',
        version: '1.1.1',
        location: '/foo/bar/somefile-1.txt',
        severity: 'low',
        cvss: [{ version: '3.1', score: 8.2, source: 'grype' }],
        fix: { state: 'fixed', versions: ['1.2.1', '2.1.3', '3.4.0'] },
      },
      {
        vulnerability: 'CVE-1999-0002',
        aliases: [],
        package: 'package-2',
        version: '2.2.2',
        purl: 'pkg:deb/package-2@2.2.2',
        location: '/foo/bar/somefile-2.txt',
        severity: 'critical',
        cvss: [{ version: '3.1', score: 8.5, source: 'grype' }],
        fix: { state: 'unknown', versions: [] },
      },
    ]);
  });

  test("counts as DefectDojo's test does with the sentences of before 2023", () => {
    const report = readSarif(fixtureJson('grype-before-2023.sarif'));
    expect(report.scanner).toEqual({ name: 'grype', version: '0.34.7' });
    const { image, findings } = onlyScan(report);
    expect(findings).toHaveLength(22);
    expect(counted({ image, findings })).toEqual({ critical: 1, high: 11, medium: 4, low: 6 });
    expect(findings[6]).toMatchObject({
      vulnerability: 'CVE-2011-5034',
      package: 'geronimo-j2ee-management_1.1_spec',
      version: '1.0.1',
      location: 'lib/geronimo-j2ee-management_1.1_spec-1.0.1.jar',
      severity: 'high',
      cvss: [{ score: 7.8 }],
    });
    expect(findings.at(-1)?.vulnerability).toBe('GHSA-57j2-w4cx-62h2');
  });

  test('gives the URL and the fix of the first match to those of the same version and kind only', () => {
    const help = {
      text: 'Vulnerability CVE-2020-1\nSeverity: high\nPackage: libc6\nVersion: 2.36\nFix Version: 2.37\nType: deb',
    };
    const rules = [{ id: 'CVE-2020-1-libc6', help, properties: { purls: ['pkg:deb/debian/libc6@2.36'] } }];
    const other = {
      ruleId: 'CVE-2020-1-libc6',
      message: { text: 'A high vulnerability in deb package: libc6, version 2.31 was found at: /other' },
    };
    const { findings } = scan('grype', [ofGrype('debian:12'), other], { rules });
    expect(findings.map(({ purl, fix }) => [purl, fix.versions])).toEqual([
      ['pkg:deb/debian/libc6@2.36', ['2.37']],
      [undefined, []],
    ]);
  });

  test('leaves out what Grype puts in the place of a score', () => {
    const rules = (score: string) => [{ id: 'CVE-2020-1-libc6', properties: { 'security-severity': score } }];
    const cvss = (score: string) =>
      scan('grype', [ofGrype('debian:12')], { rules: rules(score) }).findings[0]?.cvss;
    expect([cvss('7.0'), cvss('0.0'), cvss('none'), cvss('7.5')]).toEqual([
      [],
      [],
      [],
      [{ version: '3.1', score: 7.5, source: 'grype' }],
    ]);
  });
});

describe('SARIF', () => {
  test('of several runs about one image is one scan, about several images several', () => {
    const report = readSarif(
      sarif(
        runOf('grype', [ofGrype('debian:12')]),
        runOf('Grype', [ofGrype('alpine:3')]),
        runOf('grype', [ofGrype('debian:12'), ofGrype('debian:12')]),
        runOf('grype', []),
      ),
    );
    expect(scansOf(report).map(({ image, findings }) => [image.references, findings.length])).toEqual([
      [['debian:12'], 3],
      [['alpine:3'], 1],
    ]);
    expect(scansOf(readSarif(sarif(runOf('grype', []))))).toEqual([
      { image: { references: [], digests: [] }, findings: [] },
    ]);
  });

  test('keeps accepted suppressions as such, and counts what is under review or rejected', () => {
    const suppressed = (...suppressions: readonly Members[]) =>
      scan('Trivy', [ofTrivy('HIGH', { suppressions })]).findings[0]?.suppressed;
    expect(suppressed({ kind: 'external', justification: 'FREE' })).toEqual({
      status: 'ignored',
      source: 'sarif',
    });
    expect(suppressed({ status: 'accepted' }, { status: 'underReview' })).toBeUndefined();
    expect(suppressed({ status: 'rejected' })).toBeUndefined();
    expect(suppressed()).toBeUndefined();
  });

  test.each([
    ['another tool', sarif(runOf('CodeQL', [])), 'REPORT_UNSUPPORTED', 'codeql'],
    [
      'a tool named as a member of objects',
      sarif(runOf('constructor', [])),
      'REPORT_UNSUPPORTED',
      'constructor',
    ],
    ['two tools', sarif(runOf('Trivy', []), runOf('grype', [])), 'REPORT_UNSUPPORTED', 'trivy and grype'],
    ['no run', sarif(), 'REPORT_UNSUPPORTED', 'without a run'],
    ['version 2.0.0', { version: '2.0.0', runs: [] }, 'REPORT_UNSUPPORTED', '2.0.0'],
  ])('of %s is refused in words that say so', (_name, report, code, found) => {
    const problem = refusal(() => readSarif(report));
    expect(problem.code).toBe(code);
    expect(problem.message).toContain(found);
  });

  test.each([
    ['results', null],
    ['results', undefined],
    ['results', {}],
    ['tool', {}],
  ])(
    'without usable %s (%j) is refused with REPORT_MALFORMED: a scan that failed is no pass',
    (member, value) => {
      expect(codeOf(sarif({ ...runOf('Trivy', []), [member]: value }))).toBe('REPORT_MALFORMED');
    },
  );

  test('is refused with REPORT_MALFORMED where a result names no vulnerability, or an endless one', () => {
    expect(codeOf(sarif(runOf('Trivy', [{ message: { text: 'x' } }])))).toBe('REPORT_MALFORMED');
    expect(codeOf(sarif(runOf('Trivy', [{ ruleId: 'C'.repeat(129) }])))).toBe('REPORT_MALFORMED');
    expect(codeOf(sarif(runOf('Trivy', [ofTrivy('HIGH', { package: 'x'.repeat(513) })])))).toBe(
      'REPORT_MALFORMED',
    );
  });

  test('is refused with PAYLOAD_TOO_LARGE above 20,000 results of all runs', () => {
    const results = (count: number) => Array.from({ length: count }, () => ({ ruleId: 'CVE-2020-1' }));
    expect(codeOf(sarif(runOf('Trivy', results(maxFindings)), runOf('Trivy', results(1))))).toBe(
      'PAYLOAD_TOO_LARGE',
    );
  });

  test('reads hostile sentences in one pass', () => {
    const filler = ', version '.repeat(200_000);
    const before = process.cpuUsage();
    for (const text of [
      `A high vulnerability in deb package: ${filler}`,
      `The path ${' reports '.repeat(200_000)}`,
      `Package: ${'\n'.repeat(2_000_000)}`,
    ]) {
      const { findings } = scan('grype', [{ ruleId: 'CVE-2020-1', message: { text } }]);
      expect(findings).toMatchObject([{ vulnerability: 'CVE-2020-1', package: '' }]);
    }
    const { user } = process.cpuUsage(before);
    // A second for 6 MB: what goes back and forth would take minutes.
    expect(user).toBeLessThan(1_000_000);
  });

  test.each(['grype-image.sarif', 'trivy-alpine-310.sarif'])(
    'with any member of %s replaced by anything is read, or refused as malformed or unsupported',
    (name) => {
      const codes = ['REPORT_MALFORMED', 'REPORT_UNSUPPORTED'];
      fc.assert(
        fc.property(replacedMember(fixtureJson(name)), (report) => {
          let scans: readonly unknown[];
          try {
            scans = scansOf(readSarif(report));
          } catch {
            expect(codes).toContain(codeOf(report));
            return;
          }
          expect(scans).toHaveLength(1);
        }),
        { seed: 6, numRuns: 500 },
      );
    },
  );

  test('keeps no free text: descriptions, help, justifications', () => {
    const report = sarif(
      runOf('Trivy', [ofTrivy('HIGH', { properties: { note: 'FREE' } })], {
        rules: [
          rule(
            { note: 'FREE' },
            { shortDescription: { text: 'FREE' }, help: { text: 'FREE', markdown: 'FREE' } },
          ),
        ],
        invocations: [{ commandLine: 'trivy --password FREE' }],
      }),
    );
    expect(JSON.stringify(readSarif(report))).not.toContain('FREE');
  });
});
