import { readFileSync } from 'node:fs';
import { Problem } from '../../../../core/problem/problem.ts';
import { severities, type Severity } from '../../../../core/image/image-schema.ts';
import type { Report, ReportedScan } from '../../../../functions/image-scan/report/normal-form.ts';

/** The problem that reading ends in. */
export function refusal(read: () => unknown): Problem {
  try {
    read();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** A report of test/fixtures/scan-reports, as bytes. */
export const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../fixtures/scan-reports/${name}`, import.meta.url));

export const fixtureJson = (name: string): unknown => JSON.parse(fixture(name).toString('utf8'));

export const scansOf = (report: Report): readonly ReportedScan[] => {
  if (!('scans' in report)) throw new Error('these are statements');
  return report.scans;
};

/** The one scan of a report. */
export function onlyScan(report: Report): ReportedScan {
  const [scan, ...others] = scansOf(report);
  if (!scan || others.length > 0) throw new Error(`${others.length + 1} scans`);
  return scan;
}

/** How many findings count, by severity; those with none are left out. */
export function counted({ findings }: ReportedScan): Partial<Record<Severity, number>> {
  const counts = severities.map(
    (severity) =>
      [severity, findings.filter((each) => each.severity === severity && !each.suppressed).length] as const,
  );
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}
