import { describe, expect, test } from '@jest/globals';
import { hostileReports } from '../../../bench/scan/hostile-reports.ts';
import { readReport } from '../../../functions/image-scan/report/detect.ts';
import type { ReportedScan } from '../../../functions/image-scan/report/normal-form.ts';
import { storedLimits } from '../../../functions/image-scan/report/report-limits.ts';

const size = { bytes: 2 ** 20, findings: 1_001, members: 40_000 };
const reports = hostileReports(size);
const scansIn = (text: string): readonly ReportedScan[] => {
  const report = readReport(Buffer.from(text), { ...storedLimits, ...size });
  return 'scans' in report ? report.scans : [];
};

describe('a report made to hurt', () => {
  test.each(reports)(
    '$name is taken whole, within the limits and hardly below them',
    ({ text, findings }) => {
      const whole = text();
      expect(Buffer.byteLength(whole)).toBeLessThanOrEqual(size.bytes);
      expect(Buffer.byteLength(whole)).toBeGreaterThan(size.bytes * 0.95);
      expect(scansIn(whole).reduce((sum, scan) => sum + scan.findings.length, 0)).toBe(findings);
      expect(text()).toBe(whole);
    },
  );

  test('of many images names each by a digest of its own; the others are about one, which is named', () => {
    const images = reports.map(({ text, digest }) => {
      const digests = new Set(scansIn(text()).map(({ image }) => image.digests[0] ?? digest));
      return digests.has(undefined) ? 0 : digests.size;
    });
    expect(images).toEqual([1, 500, 1, 1, 1]);
  });

  test('of names has as many as there may be, none twice', () => {
    const names = reports
      .map(({ text }) => JSON.parse(text()) as { Names?: readonly object[] })
      .flatMap(({ Names }) => (Names ? [Names.flatMap((each) => Object.keys(each))] : []));
    expect(names.map(({ length }) => length)).toEqual([size.members - 100, size.members - 100]);
    expect(names.map((each) => new Set(each).size)).toEqual(names.map(({ length }) => length));
  });
});
