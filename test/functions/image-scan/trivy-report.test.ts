import { describe, expect, test } from '@jest/globals';
import { countBySeverity } from '../../../functions/image-scan/evidence.ts';
import { readTrivyReport } from '../../../functions/image-scan/trivy-report.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { scored, trivyFixture, trivyReport } from './reports.ts';

const problemOf = (read: () => unknown): Problem => {
  try {
    read();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};
const codeOf = (text: string | Uint8Array) => problemOf(() => readTrivyReport(Buffer.from(text))).code;
const detailOf = (text: string) => problemOf(() => readTrivyReport(Buffer.from(text))).message;
const findingOf = (vulnerability: Record<string, unknown>, overrides = {}) =>
  readTrivyReport(Buffer.from(trivyReport([vulnerability], overrides))).findings[0];

describe('reading a Trivy report', () => {
  test.each(['ubuntu-1804', 'alpine-310'] as const)(
    'finds in %s what the report counts, by severity',
    (name) => {
      const bytes = trivyFixture(name);
      const raw = JSON.parse(bytes.toString('utf8')) as {
        Results: { Vulnerabilities?: { Severity: string }[] }[];
      };
      const expected: Record<string, number> = {
        critical: 0,
        high: 0,
        medium: 0,
        low: 0,
        negligible: 0,
        unknown: 0,
      };
      for (const { Severity } of raw.Results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities)) {
        expected[Severity.toLowerCase()] = (expected[Severity.toLowerCase()] ?? 0) + 1;
      }
      expect(countBySeverity(readTrivyReport(bytes).findings)).toEqual(expected);
    },
  );

  test('takes package, purl, version, fix and the highest score over the sources', () => {
    const report = readTrivyReport(trivyFixture('alpine-310'));
    expect(report).toMatchObject({
      scanner: 'trivy dev',
      createdAt: Date.parse('2021-08-25T12:20:30Z'),
      reference: 'ghcr.io/aquasecurity/trivy-test-images:alpine-310',
    });
    expect(report.findings[0]).toEqual({
      vulnerability: 'CVE-2019-1549',
      package: 'libcrypto1.1',
      version: '1.1.1c-r0',
      purl: 'pkg:apk/alpine/libcrypto1.1@1.1.1c-r0?arch=x86_64&distro=3.10.2',
      location: 'alpine',
      severity: 'medium',
      score: 5.3,
      fixedIn: '1.1.1d-r0',
    });
  });

  test('prefers v3 and v4 scores to a higher v2 score, and takes v2 where there is no other', () => {
    const base = scored('CVE-1', 0);
    expect(
      findingOf({ ...base, CVSS: { nvd: { V2Score: 9.9, V3Score: 5 }, ghsa: { V40Score: 6.3 } } })?.score,
    ).toBe(6.3);
    expect(findingOf({ ...base, CVSS: { nvd: { V2Score: 6.8 }, redhat: { V2Score: 7.1 } } })?.score).toBe(
      7.1,
    );
    expect(findingOf({ ...base, CVSS: { nvd: {} } })).not.toHaveProperty('score');
  });

  test('takes the highest score of a finding with more sources than a function takes arguments', () => {
    const sources = Array.from({ length: 150_000 }, (_, at) => [`s${at}`, { V3Score: at === 7 ? 9.1 : 1 }]);
    const CVSS: unknown = Object.fromEntries(sources);
    expect(findingOf({ ...scored('CVE-1', 0), CVSS })?.score).toBe(9.1);
  });

  test('places a finding by the file of its package, else by its target, and never by the tag of the image', () => {
    const base = scored('CVE-1', 5);
    expect(findingOf({ ...base, PkgPath: 'app/lib.jar' })?.location).toBe('app/lib.jar');
    expect(findingOf(base)?.location).toBe('debian');
    expect(
      findingOf(base, {
        Results: [{ Target: 'app/go.sum', Class: 'lang-pkgs', Type: 'gomod', Vulnerabilities: [base] }],
      })?.location,
    ).toBe('app/go.sum');
  });

  test('takes what Trivy leaves null or empty', () => {
    const bare = { SchemaVersion: 2, ArtifactType: 'container_image', ArtifactName: '' };
    for (const extra of [
      {},
      { Results: null },
      { Results: [{ Vulnerabilities: null }] },
      { Metadata: null, CreatedAt: '0001-01-01T00:00:00Z' },
    ]) {
      expect(readTrivyReport(Buffer.from(JSON.stringify({ ...bare, ...extra })))).toMatchObject({
        findings: [],
        createdAt: undefined,
        reference: undefined,
      });
    }
  });

  test.each([
    ['null', 'the word null'],
    ['[]', 'a bare array'],
    ['"text"', 'a JSON string'],
    ['{}', 'without SchemaVersion'],
    ['{"bomFormat":"CycloneDX","specVersion":"1.4"}', 'CycloneDX 1.4'],
    ['{"version":"2.1.0","runs":[]}', 'SARIF 2.1.0'],
    ['{"matches":[],"descriptor":{"name":"grype"}}', 'a Grype report'],
    ['{"@context":"https://openvex.dev/ns/v0.2.0","statements":[]}', 'OpenVEX'],
    ['{"spdxVersion":"SPDX-2.3"}', 'SPDX'],
    ['{"ClusterName":"kind","Resources":[]}', "'trivy k8s'"],
    ['{"SchemaVersion":3,"ArtifactType":"container_image"}', 'Trivy schema 3'],
    ['{"SchemaVersion":2,"ArtifactType":"filesystem"}', 'about a filesystem'],
    ['{"SchemaVersion":2,"ArtifactType":"<script>\\u0000"}', 'about a ?script??'],
  ])('refuses %s with REPORT_UNSUPPORTED and says what it is', (text, words) => {
    expect(codeOf(text)).toBe('REPORT_UNSUPPORTED');
    expect(detailOf(text)).toContain(words);
  });

  test.each([
    ['nothing', ''],
    ['half a report', trivyReport([]).slice(0, 40)],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])],
    ['a number where a list belongs', trivyReport([], { Results: 7 })],
    ['a finding without its name', trivyReport([{ PkgName: 'a' }])],
    ['a score of 11', trivyReport([scored('CVE-1', 11)])],
    ['a time that is none', trivyReport([], { CreatedAt: 'yesterday' })],
    ['arrays nested 101 deep', `${'['.repeat(101)}${']'.repeat(101)}`],
    ['a million open brackets', '['.repeat(1_000_000)],
  ])('refuses %s with REPORT_MALFORMED', (_what, text) => {
    expect(codeOf(text)).toBe('REPORT_MALFORMED');
  });

  test('does not count brackets inside of strings as nesting', () => {
    const name = `CVE-${'['.repeat(100)}\\"[`;
    expect(findingOf(scored(name, 5))?.vulnerability).toBe(name);
  });

  test('never shows the report in an error', () => {
    expect(detailOf('{"secret": hunter2')).not.toContain('hunter2');
  });

  test('lets __proto__ and constructor keys have no effect', () => {
    const text = trivyReport([]).replace(
      '"Results":',
      '"__proto__":{"polluted":true,"Results":[7]},"constructor":{"prototype":{"polluted":true}},"Results":',
    );
    const hostile = text.replace(
      '"Vulnerabilities":[]',
      `"Vulnerabilities":[${JSON.stringify(scored('CVE-1', 5)).replace('"CVSS":{', '"CVSS":{"__proto__":{"V3Score":10},')}]`,
    );
    expect(readTrivyReport(Buffer.from(hostile)).findings).toMatchObject([
      { vulnerability: 'CVE-1', score: 5 },
    ]);
    expect({}).not.toHaveProperty('polluted');
  });

  test('refuses more findings than an image can have with PAYLOAD_TOO_LARGE', () => {
    const many = Array.from({ length: 20_001 }, () => ({ VulnerabilityID: 'C', PkgName: '' }));
    expect(codeOf(trivyReport(many))).toBe('PAYLOAD_TOO_LARGE');
  });
});
