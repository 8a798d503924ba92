import { describe, expect, test } from '@jest/globals';
import { isOfHarbor, readHarbor } from '../../../../functions/image-scan/report/harbor.ts';
import { digestOf } from '../reports.ts';
import { counted, fixtureJson, onlyScan, refusal, scansOf } from './refusal.ts';

const vulnerability = (id: string, overrides = {}) => ({
  id,
  package: 'libc6',
  version: '1',
  fix_version: '',
  severity: 'High',
  ...overrides,
});
const report = (vulnerabilities: unknown, overrides = {}) => ({
  generated_at: '2026-10-01T08:00:00.123456789Z',
  artifact: { repository: 'shop/web', digest: digestOf('1'), tag: '1', mime_type: 'application/vnd.oci' },
  scanner: { name: 'Trivy', vendor: 'Aqua Security', version: 'v0.60.0' },
  severity: 'High',
  vulnerabilities,
  ...overrides,
});

describe("a report of Harbor's", () => {
  test.each([
    ['harbor-1.0.json', { name: 'clair', version: '2.x' }],
    ['harbor-1.1.json', { name: 'trivy', version: '0.44.0' }],
    ['harbor-of-an-index.json', { name: 'trivy', version: '0.44.0' }],
  ])('is read from %s with as many findings of each severity as it has', (name, scanner) => {
    const json = fixtureJson(name);
    expect(isOfHarbor(json)).toBe(true);
    const inside =
      Object.values(json as object).find(
        (each: unknown) => typeof each === 'object' && each !== null && 'vulnerabilities' in each,
      ) ?? json;
    const expected: Record<string, number> = {};
    for (const { severity } of (inside as { vulnerabilities: { severity: string }[] }).vulnerabilities) {
      expected[severity.toLowerCase()] = (expected[severity.toLowerCase()] ?? 0) + 1;
    }
    const read = readHarbor(json);
    expect(read).toMatchObject({ format: 'harbor', scanner });
    expect(counted(onlyScan(read))).toEqual(expected);
  });

  test('gives image, time, fix, and the scores of all sources once', () => {
    const json = report([
      vulnerability('CVE-1', {
        fix_version: '2, 3',
        preferred_cvss: { score_v3: 9.8, score_v2: null, vector_v3: '', vector_v2: '' },
        vendor_attributes: { CVSS: { nvd: { V3Score: 9.8, V2Score: 7.5 } } },
      }),
      vulnerability('CVE-2', {
        preferred_cvss: { score_v3: 5 },
        vendor_attributes: { CVSS: 'none', other: [1] },
      }),
    ]);
    const read = readHarbor(json);
    expect(read).toMatchObject({ createdAt: Date.parse('2026-10-01T08:00:00.123Z') });
    const { image, findings } = onlyScan(read);
    expect(image).toEqual({ references: ['shop/web:1'], digests: [digestOf('1')] });
    expect(findings).toMatchObject([
      {
        fix: { state: 'fixed', versions: ['2', '3'] },
        cvss: [
          { source: 'nvd', version: '3.1', score: 9.8 },
          { source: 'nvd', version: '2.0', score: 7.5 },
        ],
      },
      { fix: { state: 'unknown', versions: [] }, cvss: [{ source: 'trivy', version: '3.1', score: 5 }] },
    ]);
  });

  test('is a scan for each image of an index, when it says which has which finding', () => {
    const scans = scansOf(
      readHarbor(
        report(
          [
            vulnerability('CVE-1', { artifact_digests: [digestOf('1'), digestOf('2')] }),
            vulnerability('CVE-2', { artifact_digests: [digestOf('2')] }),
            vulnerability('CVE-3', { artifact_digests: null }),
          ],
          { artifact: null },
        ),
      ),
    );
    expect(
      scans.map(({ image, findings }) => [image.digests, findings.map((each) => each.vulnerability)]),
    ).toEqual([
      [[digestOf('1')], ['CVE-1', 'CVE-3']],
      [[digestOf('2')], ['CVE-1', 'CVE-2', 'CVE-3']],
    ]);
  });

  test('may have nothing found, as null', () => {
    expect(onlyScan(readHarbor(report(null))).findings).toEqual([]);
  });

  test('is refused with a code when it is broken', () => {
    expect(refusal(() => readHarbor(report([{}]))).code).toBe('REPORT_MALFORMED');
    expect(refusal(() => readHarbor(report([], { generated_at: 'now' }))).code).toBe('REPORT_MALFORMED');
    const many = Array.from({ length: 101 }, (_, at) =>
      vulnerability('CVE-1', { artifact_digests: [`sha256:${String(at).padStart(64, '0')}`] }),
    );
    expect(refusal(() => readHarbor(report(many, { artifact: null }))).code).toBe('PAYLOAD_TOO_LARGE');
  });
});
