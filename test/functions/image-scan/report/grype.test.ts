import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readGrype } from '../../../../functions/image-scan/report/grype.ts';
import { maxFindings } from '../../../../functions/image-scan/report/members.ts';
import { counted, fixtureJson, onlyScan, refusal } from './refusal.ts';
import { replacedMember } from './replaced-member.ts';

type Members = Readonly<Record<string, unknown>>;

/** A match with the least that Grype writes. */
const match = (
  vulnerability: Members = {},
  { artifact = {}, ...others }: { readonly artifact?: Members } & Members = {},
) => ({
  vulnerability: { id: 'CVE-2020-1', severity: 'High', ...vulnerability },
  artifact: { name: 'libc6', version: '2.36', type: 'deb', ...artifact },
  ...others,
});

const scan = (report: Members) => onlyScan(readGrype(report));
const first = (...given: Parameters<typeof match>) => {
  const [finding] = scan({ matches: [match(...given)] }).findings;
  if (!finding) throw new Error('no finding');
  return finding;
};
const imageOf = (target: unknown) => scan({ matches: [], source: { type: 'image', target } }).image;

const codeOf = (report: unknown) => refusal(() => readGrype(report)).code;

/** Large reports, which are not copied into the project. */
const shared = (name: string) => new URL(`../../../../../shared/scan-reports/${name}`, import.meta.url);
const whereShared = (name: string) => (existsSync(shared(name)) ? test : test.skip);
const sharedScan = (name: string) => onlyScan(readGrype(JSON.parse(readFileSync(shared(name), 'utf8'))));

describe("Grype's JSON", () => {
  describe('of its own tests', () => {
    test('gives image, scores, EPSS, fixes and the catalogue of exploited ones as version 0.100 writes them', () => {
      const report = readGrype(fixtureJson('grype-image.json'));
      expect(report.format).toBe('grype');
      expect(report.scanner).toEqual({ name: 'grype' });
      expect(report).not.toHaveProperty('createdAt');
      const { image, findings } = onlyScan(report);
      expect(image).toEqual({
        references: ['user-input'],
        digests: ['sha256:ca738abb87a8d58f112d3400ebb079b61ceae7dc290beb34bda735be4b1941d5'],
        isUnpublished: true,
        imageId: 'sha256:ab5608d634db2716a297adbfa6a5dd5d8f8f5a7d0cab73649ea7fbb8c8da544f',
      });
      expect(findings).toEqual([
        {
          vulnerability: 'CVE-1999-0001',
          aliases: [],
          package: 'package-1',
          version: '1.1.1',
          location: '/foo/bar/somefile-1.txt',
          severity: 'low',
          cvss: [
            {
              version: '3.1',
              score: 8.2,
              vector: 'CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:H',
              source: 'nvd',
            },
          ],
          epss: { score: 0.03, percentile: 0.42 },
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
          cvss: [
            {
              version: '3.1',
              score: 8.5,
              vector: 'CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:C/C:H/I:H/A:H',
              source: 'nvd',
            },
          ],
          epss: { score: 0.08, percentile: 0.53 },
          knownExploited: true,
          fix: { state: 'unknown', versions: [] },
        },
      ]);
    });

    test('gives times, version, database and both digests of an image of several platforms as of 2023', () => {
      const report = readGrype(fixtureJson('grype-ghsa.json'));
      expect(report.scanner).toEqual({
        name: 'grype',
        version: '0.65.1',
        databaseAt: Date.parse('2023-08-31T01:24:19Z'),
      });
      expect(report.createdAt).toBe(Date.parse('2023-08-31T19:13:32.377Z'));
      const { image, findings } = onlyScan(report);
      expect(image.references).toEqual([
        'anchore/test_images@sha256:10008791acbc5866de04108746a02a0c4029ce3a4400a9b3dad45d7f2245f9da',
      ]);
      expect(image.digests).toEqual([
        'sha256:10008791acbc5866de04108746a02a0c4029ce3a4400a9b3dad45d7f2245f9da',
        'sha256:1212e7636ec0b1a7b90eb354e761e67163c2256de127036f086876e190631b43',
      ]);
      expect(image.platform).toBe('linux/amd64');
      expect(findings.map(({ vulnerability, aliases }) => [vulnerability, aliases])).toEqual([
        ['GHSA-cfh5-3ghh-wfjx', ['CVE-2014-3577']],
        ['CVE-2014-3577', []],
      ]);
      expect(findings[0]?.fix).toEqual({ state: 'fixed', versions: ['4.3.5'] });
    });
  });

  describe("of DefectDojo's tests", () => {
    test('counts every match of a report of 2021 as Grype does, and knows the older form of its CVSS vectors', () => {
      const { image, findings } = scan(fixtureJson('grype-before-2022.json') as Members);
      expect(counted({ image, findings })).toEqual({ critical: 2, high: 3, negligible: 1 });
      expect(findings[0]?.cvss).toEqual([
        { version: '2.0', score: 2.1, vector: 'AV:L/AC:L/Au:N/C:N/I:P/A:N', source: 'nvd' },
      ]);
      expect(image).toEqual({
        references: ['vulnerable-image:latest'],
        digests: ['sha256:9d8825ab20ac86b40eb71495bece1608a302fb180384740697a28c2b0a5a0fc6'],
        isUnpublished: true,
        imageId: 'sha256:ce9898fd214aef9c994a42624b09056bdce3ff4a8e3f68dc242d967b80fcbeee',
      });
    });

    test('takes matches without source or descriptor, and EPSS and NVD from what the advisory is about', () => {
      const { image, findings } = scan(fixtureJson('grype-without-envelope.json') as Members);
      expect(image).toEqual({ references: [], digests: [] });
      expect(findings).toHaveLength(1);
      expect(findings[0]).toMatchObject({
        vulnerability: 'GHSA-4374-p667-p6c8',
        aliases: ['CVE-2023-39325'],
        epss: { score: 0.00163, percentile: 0.37957 },
        cvss: [
          { version: '3.1', score: 7.5, source: 'ghsa' },
          { version: '3.1', score: 7.5, source: 'nvd' },
        ],
      });
    });

    whereShared('grype-python-3.7.json')(
      'counts the 1,567 matches of python:3.7.10 by severity as Grype 0.7 names them (needs ../shared)',
      () => {
        const python = sharedScan('grype-python-3.7.json');
        expect(counted(python)).toEqual({ high: 26, medium: 637, low: 112, negligible: 688, unknown: 104 });
        expect(python.findings.filter(({ fix }) => fix.state === 'fixed')).toHaveLength(15);
        expect(
          python.findings.filter(({ cvss }) => cvss.some(({ version }) => version === '2.0')),
        ).toHaveLength(1_450);
      },
    );

    whereShared('grype-repo-digest.json')(
      "puts the registry's digest before that of the manifest that was read (needs ../shared)",
      () => {
        const kafka = sharedScan('grype-repo-digest.json');
        expect(counted(kafka)).toEqual({ critical: 1, high: 18, medium: 13, low: 2, unknown: 1 });
        expect(kafka.image.digests).toEqual([
          'sha256:97e6d5aeed19f627205b218f45b284cd01ff658dd181416ab1d3e21aeb28d68e',
          'sha256:11557074a2e35fcbb2f367ffe1c6bb90968a56c3a08a48bf9370f8445ae2cc36',
        ]);
      },
    );
  });

  test('tells when the database was built, which stands elsewhere since its version 6', () => {
    const built = '2025-06-19T04:12:38Z';
    for (const db of [{ built }, { status: { built }, providers: {} }]) {
      expect(readGrype({ matches: [], descriptor: { db } }).scanner.databaseAt).toBe(Date.parse(built));
    }
    expect(readGrype({ matches: [], descriptor: { db: { built: 'long ago' } } }).scanner).toEqual({
      name: 'grype',
    });
  });

  describe('names the image', () => {
    const digest = `sha256:${'a'.repeat(64)}`;

    test('by what was asked for, its tags and its digests, each once, without what only looks like a digest', () => {
      expect(
        imageOf({
          userInput: `registry:ghcr.io/shop/web:1@${digest}`,
          tags: ['ghcr.io/shop/web:1', ''],
          repoDigests: ['REDACTED', `ghcr.io/shop/web@${digest}`],
          manifestDigest: 'sha256:test',
          imageID: 'sha256:07a3eb7a',
          os: 'linux',
          architecture: 'arm',
          architectureVariant: 'v7',
        }),
      ).toEqual({
        references: [`ghcr.io/shop/web:1@${digest}`, 'ghcr.io/shop/web:1'],
        digests: [digest],
        platform: 'linux/arm/v7',
      });
    });

    test('as unpublished only where Grype says that no registry has it, and the manifest may be made up', () => {
      const docker = 'application/vnd.docker.distribution.manifest.v2+json';
      const oci = 'application/vnd.oci.image.manifest.v1+json';
      const isUnpublished = (target: Members) => imageOf({ manifestDigest: digest, ...target }).isUnpublished;
      expect(isUnpublished({ repoDigests: [], mediaType: docker })).toBe(true);
      expect(isUnpublished({ repoDigests: [], mediaType: oci })).toBeUndefined();
      expect(isUnpublished({ mediaType: docker })).toBeUndefined();
      expect(isUnpublished({ repoDigests: ['REDACTED'], mediaType: docker })).toBeUndefined();
      expect(isUnpublished({ repoDigests: [], userInput: `web@${digest}` })).toBeUndefined();
    });

    test("by a registry's name with a port, which is no scheme", () => {
      expect(imageOf({ userInput: 'registry:5000/web:1' }).references).toEqual(['registry:5000/web:1']);
    });

    test('not at all for directories, SBOMs and unknown sources', () => {
      for (const source of [
        { type: 'directory', target: '/srv' },
        { type: 'unknown', target: 'unknown' },
        null,
        undefined,
      ]) {
        expect(scan({ matches: [], source }).image).toEqual({ references: [], digests: [] });
      }
    });
  });

  describe('of a finding', () => {
    test('has the primary evidence as its location, else the first file, else the kind of package', () => {
      const evidence = (path: string, kind: string) => ({ path, annotations: { evidence: kind } });
      expect(
        first(
          {},
          { artifact: { locations: [evidence('/usr/share/doc', 'supporting'), evidence('/db', 'primary')] } },
        ).location,
      ).toBe('/db');
      expect(first({}, { artifact: { locations: [{ path: '/a' }, { path: '/b' }] } }).location).toBe('/a');
      expect(first({}, { artifact: { locations: null } }).location).toBe('deb');
    });

    test('takes a missing severity for unknown, and an empty package URL for none', () => {
      const found = first({ severity: undefined }, { artifact: { purl: '' } });
      expect(found.severity).toBe('unknown');
      expect(found).not.toHaveProperty('purl');
    });

    test('reads the scores of 2020, in objects by version; 0 without a vector is none', () => {
      const vector = 'CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H';
      expect(
        first({
          cvssV2: { baseScore: 6.8, vector: 'AV:N/AC:M/Au:N/C:P/I:P/A:P' },
          cvssV3: { baseScore: 7.8, vector },
        }).cvss,
      ).toEqual([
        { version: '3.1', score: 7.8, vector, source: 'nvd' },
        { version: '2.0', score: 6.8, vector: 'AV:N/AC:M/Au:N/C:P/I:P/A:P', source: 'nvd' },
      ]);
      expect(first({ cvssV3: { baseScore: 0, vector: '' } }).cvss).toEqual([]);
    });

    test('has each score of itself and of what it is known as once, under the name of who gave it', () => {
      const entry = (source: string | undefined, vector: string, baseScore: number) => ({
        ...(source ? { source } : {}),
        version: '3.1',
        vector,
        metrics: { baseScore },
      });
      const [low, high] = ['CVSS:3.1/A', 'CVSS:4.0/B'];
      const found = first(
        {
          namespace: 'github:language:go',
          cvss: [entry(undefined, low, 5.34), entry('nvd@nist.gov', high, 9)],
        },
        {
          relatedVulnerabilities: [
            { id: 'CVE-2020-2', namespace: 'nvd:cpe', cvss: [entry('nvd@nist.gov', high, 9)] },
            { id: 'CVE-2020-3', namespace: 'redhat:distro:redhat:9', cvss: [entry('', low, 5.3)] },
            { id: 'CVE-2020-1', cvss: null },
          ],
        },
      );
      expect(found.cvss).toEqual([
        { version: '3.1', score: 5.3, vector: low, source: 'ghsa' },
        { version: '4.0', score: 9, vector: high, source: 'nvd' },
        { version: '3.1', score: 5.3, vector: low, source: 'redhat' },
      ]);
      expect(found.aliases).toEqual(['CVE-2020-2', 'CVE-2020-3']);
    });

    test('takes the version of a score from its vector where it is not said; 0 without a vector is none', () => {
      const entry = (vector: string, baseScore: number) => ({ vector, metrics: { baseScore } });
      expect(
        first({ cvss: [entry('AV:N/AC:L/Au:N/C:P/I:N/A:N', 5), entry('CVSS:3.0/X', 0), entry('', 0)] }).cvss,
      ).toEqual([
        { version: '2.0', score: 5, vector: 'AV:N/AC:L/Au:N/C:P/I:N/A:N', source: 'grype' },
        { version: '3.0', score: 0, vector: 'CVSS:3.0/X', source: 'grype' },
      ]);
    });

    test.each([
      [{ fix: { state: 'fixed', versions: ['2', '2', '3'] } }, { state: 'fixed', versions: ['2', '3'] }],
      [{ fix: { state: 'wont-fix', versions: [] } }, { state: 'wont-fix', versions: [] }],
      [{ fix: { state: 'not-fixed', versions: null } }, { state: 'not-fixed', versions: [] }],
      [{ fix: { state: '', versions: ['2'] } }, { state: 'fixed', versions: ['2'] }],
      [{ fix: null }, { state: 'unknown', versions: [] }],
      [{ fixedInVersion: '2' }, { state: 'fixed', versions: ['2'] }],
    ])('says of a fix given as %j: %j', (given, fix) => {
      expect(first(given).fix).toEqual(fix);
    });

    test('says that it is not exploited only where the database has the catalogue', () => {
      const withKev = { descriptor: { db: { providers: { kev: { captured: '2025-06-19T01:32:21Z' } } } } };
      expect(scan({ matches: [match()], ...withKev }).findings[0]?.knownExploited).toBe(false);
      expect(first()).not.toHaveProperty('knownExploited');
      expect(
        first({}, { relatedVulnerabilities: [{ id: 'CVE-2', knownExploited: [{ cve: 'CVE-2' }] }] })
          .knownExploited,
      ).toBe(true);
    });

    test('has the highest of several EPSS scores', () => {
      const epss = [0.1, 0.7, 0.3].map((value) => ({ cve: 'CVE-2020-1', epss: value, percentile: value }));
      expect(first({ epss }).epss).toEqual({ score: 0.7, percentile: 0.7 });
      expect(first({ epss: null })).not.toHaveProperty('epss');
    });
  });

  describe('of an ignored match', () => {
    const suppressed = (...appliedIgnoreRules: readonly Members[]) => {
      const { findings } = scan({
        matches: [match()],
        ignoredMatches: [{ ...match({ id: 'CVE-2020-9' }), appliedIgnoreRules }],
      });
      expect(findings.map(({ vulnerability }) => vulnerability)).toEqual(['CVE-2020-1', 'CVE-2020-9']);
      expect(findings[0]).not.toHaveProperty('suppressed');
      return findings[1]?.suppressed;
    };

    test('keeps it as suppressed, outside the counts', () => {
      const scanned = scan({ matches: [], ignoredMatches: [{ ...match(), appliedIgnoreRules: null }] });
      expect(counted(scanned)).toEqual({});
      expect(scanned.findings[0]?.suppressed).toEqual({ status: 'ignored' });
    });

    test("gives a VEX statement's status and justification, whatever other rules say", () => {
      expect(
        suppressed(
          { namespace: '', reason: 'DistroPackageFixed' },
          {
            namespace: 'vex',
            'vex-status': 'not_affected',
            'vex-justification': 'vulnerable_code_not_present',
          },
        ),
      ).toEqual({ status: 'not_affected', justification: 'vulnerable_code_not_present', source: 'vex' });
    });

    test('names what a rule asks for, and never what people wrote as its reason', () => {
      expect(
        suppressed({
          vulnerability: 'CVE-2020-9',
          reason: 'agreed with Bob, his token is abc',
          'fix-state': 'wont-fix',
          package: { name: 'libc6', language: '' },
        }),
      ).toEqual({ status: 'ignored', source: 'vulnerability=CVE-2020-9 package=libc6 fix-state=wont-fix' });
    });
  });

  describe('that is not as Grype writes it', () => {
    test.each([
      ['an id that is a number', { matches: [match({ id: 7 })] }, '/matches/0/vulnerability/id'],
      ['a match without a package', { matches: [{ vulnerability: { id: 'CVE-1' } }] }, '/matches/0/artifact'],
      [
        'a score of 11',
        { matches: [match({ cvss: [{ metrics: { baseScore: 11 } }] })] },
        '/matches/0/vulnerability/cvss/0/metrics/baseScore',
      ],
      [
        'a probability of 2',
        { matches: [match({ epss: [{ epss: 2 }] })] },
        '/matches/0/vulnerability/epss/0/epss',
      ],
      [
        'a version of a megabyte',
        { matches: [match({}, { artifact: { version: 'x'.repeat(1e6) } })] },
        '/matches/0/artifact/version',
      ],
      ['matches that are an object', { matches: {} }, '/matches'],
    ])('is refused with REPORT_MALFORMED and the place: %s', (_name, report, path) => {
      const { code, errors } = refusal(() => readGrype(report));
      expect([code, errors?.[0]?.path]).toEqual(['REPORT_MALFORMED', path]);
    });

    test('is refused with REPORT_MALFORMED for a time that is none', () => {
      expect(codeOf({ matches: [], descriptor: { timestamp: 'yesterday' } })).toBe('REPORT_MALFORMED');
    });

    test('is refused with PAYLOAD_TOO_LARGE above 100,000 matches, the ignored ones among them', () => {
      const one = match();
      const many = (count: number) => Array.from({ length: count }, () => one);
      expect(codeOf({ matches: many(maxFindings + 1) })).toBe('PAYLOAD_TOO_LARGE');
      expect(codeOf({ matches: many(maxFindings), ignoredMatches: many(1) })).toBe('PAYLOAD_TOO_LARGE');
    });

    test('names at most 20 faults of a report that is all faults, and nothing of what it says', () => {
      const { errors = [], message } = refusal(() =>
        readGrype({ matches: Array.from({ length: 500 }, () => match({ id: { secret: 'hunter2' } })) }),
      );
      expect(errors).toHaveLength(20);
      expect(JSON.stringify([errors, message])).not.toContain('hunter2');
    });
  });

  test('with any member replaced by anything is read whole, or refused as malformed', () => {
    fc.assert(
      fc.property(replacedMember(fixtureJson('grype-image.json')), (report) => {
        let findings: number;
        try {
          ({ length: findings } = onlyScan(readGrype(report)).findings);
        } catch {
          expect(codeOf(report)).toBe('REPORT_MALFORMED');
          return;
        }
        const { matches } = report as { readonly matches?: readonly unknown[] | null };
        expect(findings).toBe(matches?.length ?? 0);
      }),
      { seed: 6, numRuns: 1_000 },
    );
  });

  test('keeps no free text: descriptions, links, licences, labels, configuration', () => {
    const report = {
      matches: [
        match(
          { description: 'FREE', urls: ['FREE'], dataSource: 'FREE' },
          { artifact: { licenses: ['FREE'], metadata: { note: 'FREE' } }, matchDetails: null },
        ),
      ],
      source: { type: 'image', target: { userInput: 'web:1', config: 'FREE', labels: { a: 'FREE' } } },
      descriptor: { version: '0.100.0', configuration: { registry: { auth: 'FREE' } } },
    };
    expect(JSON.stringify(readGrype(report))).not.toContain('FREE');
  });
});
