import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { isOfCycloneDx, readCycloneDx } from '../../../../functions/image-scan/report/cyclonedx.ts';
import { maxFindings } from '../../../../functions/image-scan/report/members.ts';
import type { ReportedFinding } from '../../../../functions/image-scan/report/normal-form.ts';
import { readGrype } from '../../../../functions/image-scan/report/grype.ts';
import { counted, fixtureJson, onlyScan, refusal } from './refusal.ts';

type Members = Readonly<Record<string, unknown>>;

const digest = `sha256:${'ab'.repeat(32)}`;
const serial = '3e671687-395b-41f5-a30f-a58921a69b79';

const libc = {
  'bom-ref': 'libc',
  type: 'library',
  name: 'libc6',
  version: '2.36',
  purl: 'pkg:deb/debian/libc6@2.36',
};
const bom = (members: Members): Members => ({
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  components: [libc],
  vulnerabilities: [],
  ...members,
});
const inLibc = { id: 'CVE-2020-1', affects: [{ ref: 'libc' }] };

const scan = (members: Members) => onlyScan(readCycloneDx(bom(members)));
const imageOf = (component: Members, others: Members = {}) =>
  scan({ metadata: { component }, ...others }).image;
function found(vulnerability: Members, others: Members = {}): ReportedFinding {
  const [finding] = scan({ vulnerabilities: [{ ...inLibc, ...vulnerability }], ...others }).findings;
  if (!finding) throw new Error('no finding');
  return finding;
}
const madeBy = (name: string) => ({ metadata: { tools: { components: [{ name }] } } });

describe('CycloneDX', () => {
  describe("of scanners' own tests", () => {
    test("counts as Trivy's JSON about the same image does, by the severity of each finding's source", () => {
      const report = readCycloneDx(fixtureJson('cyclonedx-trivy-image.json'));
      expect(report).toMatchObject({
        format: 'cyclonedx',
        scanner: { name: 'trivy', version: 'dev' },
        createdAt: Date.parse('2021-08-25T12:20:30Z'),
      });
      const { image, findings } = onlyScan(report);
      expect(counted({ image, findings })).toEqual({ critical: 1, high: 1, low: 1 });
      expect(image).toEqual({
        references: ['integration/testdata/fixtures/images/fluentd-multiple-lockfiles.tar.gz'],
        digests: [],
        imageId: 'sha256:5a992077baba51b97f27591a10d54d2f2723dc9c81a3fe419e261023f2554933',
        bom: 'urn:cdx:3ff14136-e09f-4df9-80ea-000000000006/1',
      });
      expect(findings.map(({ vulnerability, location }) => [vulnerability, location])).toEqual([
        ['CVE-2019-18224', 'debian'],
        ['CVE-2019-18276', 'debian'],
        ['CVE-2020-8165', 'var/lib/gems/2.5.0/specifications/activesupport-6.0.2.1.gemspec'],
      ]);
      expect(findings[2]).toMatchObject({
        purl: 'pkg:gem/activesupport@6.0.2.1',
        severity: 'high',
        fix: { state: 'fixed', versions: ['6.0.3.1', '5.2.4.3'] },
      });
      expect(findings[0]).toEqual({
        vulnerability: 'CVE-2019-18224',
        aliases: [],
        package: 'libidn2-0',
        version: '2.0.5-1',
        purl: 'pkg:deb/debian/libidn2-0@2.0.5-1?distro=debian-10.2',
        location: 'debian',
        severity: 'critical',
        cvss: [
          { version: '2.0', score: 7.5, vector: 'AV:N/AC:L/Au:N/C:P/I:P/A:P', source: 'nvd' },
          {
            version: '3.1',
            score: 9.8,
            vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
            source: 'nvd',
          },
          {
            version: '3.0',
            score: 5.6,
            vector: 'CVSS:3.0/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:L',
            source: 'redhat',
          },
        ],
        fix: { state: 'fixed', versions: ['2.0.5-1+deb10u1'] },
        publishedAt: Date.parse('2019-10-21T17:15:00Z'),
      });
    });

    test("finds Trivy's packages of a lock file in that file, and no image in a directory", () => {
      const { image, findings } = onlyScan(readCycloneDx(fixtureJson('cyclonedx-trivy-npm.json')));
      expect(image).toMatchObject({ references: [], digests: [] });
      expect(findings.map((each) => [each.vulnerability, each.severity, each.location, each.purl])).toEqual([
        ['CVE-2019-11358', 'medium', 'package-lock.json', 'pkg:npm/jquery@3.3.9'],
      ]);
    });

    test("has what Grype's JSON about the same image has: findings, EPSS, the catalogue of exploited ones", () => {
      const { image, findings } = onlyScan(readCycloneDx(fixtureJson('cyclonedx-grype-image.json')));
      const json = onlyScan(readGrype(fixtureJson('grype-image.json')));
      expect(image).toEqual({
        references: ['user-input'],
        digests: ['sha256:ca738abb87a8d58f112d3400ebb079b61ceae7dc290beb34bda735be4b1941d5'],
        bom: 'urn:cdx:491fc8dc-9384-4f3d-a729-d2c5a83791d8/1',
      });
      const shared = ({
        vulnerability,
        package: name,
        version,
        severity,
        location,
        epss,
      }: ReportedFinding) => ({
        ...{ vulnerability, name, version, severity, location },
        epss: epss?.score,
      });
      expect(findings.map(shared)).toEqual(json.findings.map(shared));
      expect(findings.map((each) => [each.epss, each.knownExploited, each.purl])).toEqual([
        [{ score: 0.03 }, undefined, undefined],
        [{ score: 0.08 }, true, 'pkg:deb/package-2@2.2.2'],
      ]);
      expect(findings[0]?.cvss).toEqual([
        {
          version: '3.1',
          score: 8.2,
          vector: 'CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:H',
          source: 'grype',
        },
      ]);
    });

    test("keeps what the specification's example has analysed as suppressed, and nothing of its free text", () => {
      const { findings } = onlyScan(readCycloneDx(fixtureJson('cyclonedx-1.7-specification.json')));
      expect(findings).toEqual([
        {
          vulnerability: 'SNYK-JAVA-COMFASTERXMLJACKSONCORE-32111',
          aliases: ['CVE-2018-7489'],
          package: 'com.fasterxml.jackson.core:jackson-databind',
          version: '2.9.4',
          purl: 'pkg:maven/com.fasterxml.jackson.core/jackson-databind@2.9.4',
          location: 'maven',
          severity: 'critical',
          cvss: [
            { version: '3.0', score: 9.8, vector: 'AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H', source: 'nvd' },
          ],
          fix: { state: 'fixed', versions: ['2.6.7.5', '2.8.11.1', '2.9.5'] },
          publishedAt: Date.parse('2021-01-01'),
          suppressed: {
            status: 'not_affected',
            justification: 'code_not_reachable',
            source: `urn:cdx:${serial}/1`,
          },
        },
      ]);
    });

    test('finds components in components, and the one container among them; what is in triage counts', () => {
      const { image, findings } = onlyScan(readCycloneDx(fixtureJson('cyclonedx-nested-log4j.json')));
      expect(image.references).toEqual(['testcontainer:test']);
      expect(counted({ image, findings })).toEqual({ critical: 4, high: 1, medium: 3 });
      expect(new Set(findings.map((each) => each.purl))).toEqual(
        new Set(['pkg:maven/org.apache.logging.log4j/log4j-core@2.13.2']),
      );
    });

    test("takes another scanner's with random references, whose aliases hold the CVE", () => {
      const report = readCycloneDx(fixtureJson('cyclonedx-jake.json'));
      expect(report.scanner).toEqual({ name: 'cyclonedx-python-lib', version: '1.3.0' });
      expect(counted(onlyScan(report))).toEqual({ high: 3, medium: 4 });
      expect(onlyScan(report).findings[0]).toMatchObject({
        aliases: ['CVE-2021-33203'],
        purl: 'pkg:pypi/django@2.0',
        location: 'pypi',
        severity: 'high',
      });
    });

    const log4j = new URL('../../../../../shared/scan-reports/cyclonedx-1.4-log4j.json', import.meta.url);
    (existsSync(log4j) ? test : test.skip)('counts eight of Grype 0.41 in version 1.4', () => {
      const { image, findings } = onlyScan(readCycloneDx(JSON.parse(readFileSync(log4j, 'utf8'))));
      expect(image).toMatchObject({ references: [], digests: [] });
      expect(counted({ image, findings })).toEqual({ critical: 4, high: 1, medium: 3 });
    });
  });

  describe('the image', () => {
    test("has Trivy's properties and the digest of its package URL", () => {
      const purl = `pkg:oci/debian@${encodeURIComponent(digest)}?repository_url=docker.io%2Flibrary%2Fdebian&tag=12`;
      const property = (name: string, value: string) => ({ name: `aquasecurity:trivy:${name}`, value });
      const other = `sha256:${'cd'.repeat(32)}`;
      const properties = [
        property('ImageID', `sha256:${'ef'.repeat(32)}`),
        property('RepoDigest', `debian@${other}`),
        property('RepoTag', 'debian:12'),
        property('RepoTag', 'debian:bookworm'),
        property('Labels:about', 'x'.repeat(5_000)),
      ];
      expect(imageOf({ type: 'container', name: 'debian:12', purl, properties })).toEqual({
        references: ['debian:12', 'debian:bookworm', 'docker.io/library/debian:12'],
        digests: [other, digest],
        imageId: `sha256:${'ef'.repeat(32)}`,
      });
    });

    test.each([
      ['a tag', '3.20', { references: ['alpine:3.20'], digests: [] }],
      ['a digest', digest, { references: ['alpine'], digests: [digest] }],
      ['nothing', undefined, { references: ['alpine'], digests: [] }],
      ['words', 'of last week', { references: ['alpine'], digests: [] }],
    ])('is named by name and version where that is %s', (_what, version, image) => {
      expect(imageOf({ type: 'container', name: 'alpine', version })).toEqual(image);
    });

    test('loses the credential in the address of its registry', () => {
      const repository = encodeURIComponent('https://user:secret@registry.test/a/b');
      const { references } = imageOf({
        type: 'container',
        name: 'b',
        purl: `pkg:oci/b?repository_url=${repository}&tag=1`,
      });
      expect(references).toEqual(['b', 'registry.test/a/b:1']);
    });

    test('is none in a directory, and several are refused with REPORT_UNSUPPORTED', () => {
      expect(imageOf({ type: 'file', name: 'src', version: '1' })).toEqual({ references: [], digests: [] });
      const container = { type: 'container', name: 'a' };
      const { code, message } = refusal(() => scan({ components: [container, container] }));
      expect(code).toBe('REPORT_UNSUPPORTED');
      expect(message).toContain('about 2 containers');
    });
  });

  describe('a finding', () => {
    test('is one for each component that a vulnerability affects, even for one that the document does not have', () => {
      const other = { ...libc, 'bom-ref': 'other', purl: 'pkg:deb/debian/libc6@2.36?arch=arm64' };
      const affects = [
        { ref: 'libc' },
        { ref: `urn:cdx:${serial}/1#other` },
        { ref: 'pkg:npm/%40babel/core@7.0.0?package-id=93' },
        { ref: 'nowhere', versions: [{ version: '4' }] },
      ];
      const { findings } = scan({
        serialNumber: `urn:uuid:${serial}`,
        components: [libc, other],
        vulnerabilities: [{ id: 'CVE-2020-1', affects }, { id: 'CVE-2020-2' }],
        metadata: { component: { type: 'container', name: 'alpine', version: '3' } },
      });
      expect(
        findings.map((each) => [each.vulnerability, each.package, each.version, each.purl, each.location]),
      ).toEqual([
        ['CVE-2020-1', 'libc6', '2.36', 'pkg:deb/debian/libc6@2.36', 'deb'],
        ['CVE-2020-1', 'libc6', '2.36', 'pkg:deb/debian/libc6@2.36?arch=arm64', 'deb'],
        ['CVE-2020-1', '@babel/core', '7.0.0', 'pkg:npm/%40babel/core@7.0.0', 'npm'],
        ['CVE-2020-1', 'nowhere', '4', undefined, ''],
        ['CVE-2020-2', 'alpine', '3', undefined, 'container'],
      ]);
    });

    test('is not hidden by a link to an element of another document that has the same name', () => {
      const { findings } = scan({
        serialNumber: `urn:uuid:${serial}`,
        vulnerabilities: [{ id: 'CVE-2020-1', affects: [{ ref: `urn:cdx:${serial}/2#libc` }] }],
      });
      expect(findings.map((each) => [each.package, each.purl])).toEqual([['libc', undefined]]);
    });

    test('is in the file that the document gives, whoever has made it', () => {
      const inFile = (members: Members) => found({}, { components: [{ ...libc, ...members }] }).location;
      expect(inFile({ properties: [{ name: 'syft:location:0:path', value: '/lib/a' }] })).toBe('/lib/a');
      expect(inFile({ properties: [{ name: 'aquasecurity:trivy:FilePath', value: 'b.jar' }] })).toBe('b.jar');
      expect(inFile({ evidence: { occurrences: [{ location: '/lib/c' }] } })).toBe('/lib/c');
      expect(inFile({ properties: [{ name: 'syft:package:type', value: 'deb' }], purl: undefined })).toBe(
        'deb',
      );
      expect(inFile({ purl: undefined })).toBe('library');
    });

    test("is in the lock file from which Trivy's dependencies lead to it, through others", () => {
      const lock = (ref: string, name: string) => ({
        'bom-ref': ref,
        type: 'application',
        name,
        properties: [{ name: 'aquasecurity:trivy:Class', value: 'lang-pkgs' }],
      });
      const dependencies = [
        { ref: 'root', dependsOn: ['one', 'two'] },
        { ref: 'one', dependsOn: ['other', 'two'] },
        { ref: 'other', dependsOn: ['other'] },
        { ref: 'two', dependsOn: ['direct', null, 7] },
        { ref: 'direct', dependsOn: ['libc', 'direct'] },
      ];
      const components = [lock('one', 'a/go.mod'), lock('two', 'b/go.mod'), libc];
      expect(found({}, { components, dependencies }).location).toBe('b/go.mod');
    });

    test.each([
      [{ group: '@babel', name: 'core', purl: 'pkg:npm/%40babel/core@1' }, '@babel/core'],
      [{ group: 'org.example', name: 'lib', purl: 'pkg:maven/org.example/lib@1' }, 'org.example:lib'],
      [{ group: 'debian', name: 'libc6', purl: 'pkg:deb/debian/libc6@1' }, 'libc6'],
      [{ name: 'golang.org/x/net' }, 'golang.org/x/net'],
    ])('of %j is in the package %s', (component, name) => {
      expect(found({}, { components: [{ 'bom-ref': 'libc', ...component }] }).package).toBe(name);
    });

    test('takes its fix from words that have the form of a command alone, those for its own package', () => {
      const fixOf = (recommendation: string, response: string[] = []) =>
        found({ recommendation, analysis: { state: 'exploitable', response } }).fix;
      expect(fixOf('Upgrade libc-bin to version 9; Upgrade libc6 to version 2.37, 2.36-1+deb12')).toEqual({
        state: 'fixed',
        versions: ['2.37', '2.36-1+deb12'],
      });
      expect(fixOf('Upgrade libc6 to version of your choice, secret words')).toEqual({
        state: 'unknown',
        versions: [],
      });
      expect(fixOf('Pray.', ['will_not_fix'])).toEqual({ state: 'wont-fix', versions: [] });
      expect(fixOf('', ['can_not_fix'])).toEqual({ state: 'not-fixed', versions: [] });
    });

    test.each([
      ['resolved', { status: 'fixed' }],
      ['resolved_with_pedigree', { status: 'fixed' }],
      ['not_affected', { status: 'not_affected' }],
      ['false_positive', { status: 'not_affected', justification: 'false_positive' }],
      ['exploitable', undefined],
      ['in_triage', undefined],
      ['harmless, believe me', undefined],
    ])('whose analysis says %s is suppressed as %j', (state, suppressed) => {
      expect(found({ analysis: { state } }).suppressed).toEqual(suppressed);
    });

    test('is suppressed by its very version among the unaffected, and by no range', () => {
      const versionsOf = (versions: Members[]) =>
        found({ affects: [{ ref: 'libc', versions }] }).suppressed?.status;
      expect(versionsOf([{ version: '2.36', status: 'unaffected' }])).toBe('not_affected');
      expect(versionsOf([{ version: '2.3', status: 'unaffected' }])).toBeUndefined();
      expect(versionsOf([{ range: 'vers:deb/>=2', status: 'unaffected' }])).toBeUndefined();
      expect(versionsOf([{ range: 'vers:deb/<2', status: 'affected' }])).toBeUndefined();
    });
  });

  describe('the severity', () => {
    const rating = (source: string | undefined, severity: string | undefined, others: Members = {}) => ({
      ...(source === undefined ? {} : { source: { name: source } }),
      ...(severity === undefined ? {} : { severity }),
      ...others,
    });
    const of = (ratings: Members[], others: Members = {}, tool = 'some-scanner') =>
      found({ ratings, ...others }, madeBy(tool)).severity;

    test("is that of the vulnerability's own source, whatever the others say", () => {
      const ratings = [rating('nvd', 'critical'), rating('debian', 'low')];
      expect(of(ratings, { source: { name: 'debian' } })).toBe('low');
      expect(of(ratings, { source: { name: 'debian' } }, 'trivy')).toBe('low');
    });

    test('is the highest where that source has none, except that Trivy asks its sources in order', () => {
      const ratings = [rating('amazon', 'critical'), rating('ubuntu', 'low'), rating('redhat', 'medium')];
      expect(of(ratings, { source: { name: 'debian' } })).toBe('critical');
      expect(of(ratings, { source: { name: 'debian' } }, 'trivy')).toBe('medium');
      const ghsa = [rating('nvd', 'high'), rating('ghsa', 'low')];
      expect(of(ghsa, { id: 'GHSA-1', source: { name: 'osv' } }, 'trivy')).toBe('low');
      expect(of([rating('nobody', 'high')], {}, 'trivy')).toBe('high');
    });

    test("is that of the newest CVSS of one source, and Trivy's info of CVSS v2 is low", () => {
      const v2 = rating('nvd', 'info', { method: 'CVSSv2', score: 2.1 });
      expect(of([v2, rating('nvd', 'medium', { method: 'CVSSv31', score: 6.5 })], {}, 'trivy')).toBe(
        'medium',
      );
      expect(of([v2], {}, 'trivy')).toBe('low');
    });

    test.each([
      ['none', 'negligible'],
      ['info', 'negligible'],
      ['critical', 'critical'],
      ['dreadful', 'unknown'],
    ])('of the word %s is %s', (word, severity) => {
      expect(of([rating(undefined, word)])).toBe(severity);
    });

    test.each([
      ['CVSSv31', 9, 'critical'],
      ['CVSSv31', 8.9, 'high'],
      ['CVSSv3', 4, 'medium'],
      ['CVSSv4', 0.1, 'low'],
      ['CVSSv4', 0, 'negligible'],
      ['CVSSv2', 10, 'high'],
      ['OWASP', 9, 'unknown'],
      ['other', 9, 'unknown'],
    ])('without a word follows the score: %s %d is %s', (method, score, severity) => {
      expect(of([rating('nvd', undefined, { method, score })])).toBe(severity);
    });

    test('of a vulnerability without ratings is unknown, and it counts', () => {
      expect(counted(scan({ vulnerabilities: [inLibc] }))).toEqual({ unknown: 1 });
    });
  });

  describe('the scores', () => {
    const scoresOf = (ratings: Members[], source?: string) =>
      found({ ratings, source: { name: source } }).cvss.map((each) => [
        each.source,
        each.version,
        each.score,
      ]);

    test('are those of CVSS, of which each source may have several', () => {
      expect(
        scoresOf(
          [
            { source: { name: 'NVD' }, method: 'CVSSv2', score: 5 },
            { source: { name: 'NVD' }, method: 'CVSSv31', score: 7.51 },
            { source: { name: 'NVD' }, method: 'CVSSv31', score: 7.51 },
            { method: 'other', score: 9.3, vector: 'CVSS:4.0/AV:N' },
            { method: 'SSVC', score: 3 },
            { method: 'CVSSv31', severity: 'high', score: 0 },
            { method: 'CVSSv31', severity: 'none', score: 0 },
          ],
          'github:language:go',
        ),
      ).toEqual([
        ['nvd', '2.0', 5],
        ['nvd', '3.1', 7.5],
        ['ghsa', '4.0', 9.3],
        ['ghsa', '3.1', 0],
      ]);
      expect(scoresOf([{ method: 'CVSSv3', score: 1 }], 'debian-distro-debian-12')).toEqual([
        ['debian', '3.0', 1],
      ]);
    });

    test('outside 0 to 10 are refused with REPORT_MALFORMED, while other methods may have any', () => {
      expect(refusal(() => scoresOf([{ method: 'CVSSv31', score: 11 }])).code).toBe('REPORT_MALFORMED');
      expect(scoresOf([{ method: 'OWASP', score: 64 }])).toEqual([]);
    });

    test('of EPSS are no CVSS', () => {
      const epss = found({ ratings: [{ method: 'EPSS', score: 0.97 }] });
      expect([epss.epss, epss.cvss]).toEqual([{ score: 0.97 }, []]);
    });
  });

  describe('the scanner', () => {
    test('is the one that looks for vulnerabilities among several tools, old form or new', () => {
      const tools = [
        { name: 'syft', version: '1' },
        { vendor: 'aquasecurity', name: 'Trivy', version: '0.60' },
      ];
      const report = (given: unknown) =>
        readCycloneDx(bom({ metadata: { tools: given }, vulnerabilities: [inLibc] }));
      expect(report(tools).scanner).toEqual({ name: 'trivy', version: '0.60' });
      expect(report({ services: tools }).scanner).toEqual({ name: 'trivy', version: '0.60' });
      expect(report([{ name: 'Snyk CLI (Linux)' }]).scanner).toEqual({ name: 'snyk-cli-linux' });
      expect(report(null).scanner).toEqual({ name: 'cyclonedx' });
    });
  });

  describe('is refused', () => {
    test('without a list of vulnerabilities with REPORT_UNSUPPORTED: nobody has looked for any', () => {
      const { code, message } = refusal(() => scan({ vulnerabilities: undefined }));
      expect([code, message]).toEqual([
        'REPORT_UNSUPPORTED',
        expect.stringContaining('without vulnerabilities, which is no result of a scan'),
      ]);
      expect(refusal(() => scan({ vulnerabilities: null })).code).toBe('REPORT_UNSUPPORTED');
    });

    test("with an empty list of Trivy's, which it writes without a scan too; others' is a clean image", () => {
      expect(refusal(() => scan(madeBy('trivy'))).message).toContain('--scanners vuln');
      expect(scan(madeBy('grype')).findings).toEqual([]);
    });

    test.each(['1.3', '1.8', '2.0', undefined])('in version %s with REPORT_UNSUPPORTED', (specVersion) => {
      expect(refusal(() => scan({ specVersion })).code).toBe('REPORT_UNSUPPORTED');
    });

    test.each([
      ['components that are no array', { components: {} }],
      ['a component that is no object', { components: [libc, null] }],
      ['nested components that are no array', { components: [{ components: 'x' }] }],
      ['services that are no array', { services: 7 }],
      ['an affected component without a type', { components: [{ ...libc, type: 7 }] }],
      ['vulnerabilities that are no array', { vulnerabilities: {} }],
      ['a vulnerability that is a string', { vulnerabilities: ['CVE-2020-1'] }],
      ['a reference that is none', { vulnerabilities: [{ id: 'CVE-2020-1', affects: [{ ref: 7 }] }] }],
      ['a time that is none', { metadata: { timestamp: 'yesterday' } }],
      ['a version of 0', { version: 0 }],
    ])('for %s with REPORT_MALFORMED', (_what, members) => {
      const vulnerabilities = [inLibc];
      expect(refusal(() => scan({ vulnerabilities, ...members })).code).toBe('REPORT_MALFORMED');
    });

    test('for more findings or components than a report may have with PAYLOAD_TOO_LARGE', () => {
      const affects = Array.from({ length: maxFindings / 2 + 1 }, () => ({ ref: 'libc' }));
      const vulnerabilities = [
        { id: 'CVE-2020-1', affects },
        { id: 'CVE-2020-2', affects },
      ];
      expect(refusal(() => scan({ vulnerabilities })).code).toBe('PAYLOAD_TOO_LARGE');
      const components = Array.from({ length: 200_001 }, () => libc);
      expect(refusal(() => scan({ components })).code).toBe('PAYLOAD_TOO_LARGE');
    });
  });

  test('is told by its bomFormat, and statements alone are none', () => {
    expect(isOfCycloneDx(bom({}))).toBe(true);
    expect(isOfCycloneDx({ bomFormat: 'SPDX' })).toBe(false);
    expect(isOfCycloneDx([])).toBe(false);
    expect(isOfCycloneDx(fixtureJson('cyclonedx-vex-bom-links.json'))).toBe(false);
  });
});
