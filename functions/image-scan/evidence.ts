import { gunzipSync, gzipSync } from 'node:zlib';
import {
  type Finding,
  type Severity,
  severities,
  type SeverityCounts,
} from '../../core/image/image-schema.ts';

/** How many findings a reason shows at most, and so how many an image's item keeps. */
export const maxShown = 50;
const maxSuppressedShown = 20;

/** Most bytes that the findings take in an image's item (DynamoDB: 400 KB an item). */
const maxBytes = 200 * 1024;

/**
 * What is kept of a report's findings so that an image can be judged again under any policy, exactly, from a small item:
 * how many findings have each score, and the worst of them. As verdicts depend on scores alone, the findings that meet
 * a threshold are always the first of the list sorted by score: the numbers give their total, the worst are shown.
 * All findings stay in the report in S3, from which pages of them are made.
 */
export type Evidence = {
  /** Decisive score in tenths (0–100) → how many findings have it. */
  readonly tenths: Readonly<Record<string, number>>;
  /** The worst findings first, at most 50. */
  readonly worst: readonly Finding[];
  /** What does not count: how many, and the worst of them first, at most 20. */
  readonly suppressed: { readonly total: number; readonly worst: readonly Finding[] };
};

/** Lower ends of the bands that CVSS v3.1 §5 gives to the severities' names, in tenths. */
const bandOf: Readonly<Record<Severity, number>> = {
  critical: 90,
  high: 70,
  medium: 40,
  low: 1,
  negligible: 0,
  unknown: 0,
};

/**
 * The score that a finding is judged by, in tenths: its CVSS score; where nobody scored it, the least score that bears
 * its severity's name, so that a critical finding without a score does not pass unseen.
 */
export const decisiveTenths = ({ score, severity }: Finding): number =>
  score === undefined ? bandOf[severity] : Math.round(score * 10);

export function evidenceOf(findings: readonly Finding[]): Evidence {
  const [counted, suppressed] = [findings.filter(counts), findings.filter((each) => !counts(each))];
  const tenths: Record<string, number> = {};
  for (const each of counted) {
    const key = String(decisiveTenths(each));
    tenths[key] = (tenths[key] ?? 0) + 1;
  }
  return {
    tenths,
    worst: worstOf(counted, maxShown),
    suppressed: { total: suppressed.length, worst: worstOf(suppressed, maxSuppressedShown) },
  };
}

/** Somebody has decided before us that it does not. */
const counts = ({ suppressed }: Finding): boolean => suppressed === undefined;

const worstOf = (findings: readonly Finding[], shown: number): Finding[] =>
  [...findings].sort(worstFirst).slice(0, shown);

/** By score, then by severity, then by name, so that the same findings in another order give the same list. */
function worstFirst(a: Finding, b: Finding): number {
  const name = ({ vulnerability, purl, version, location, ...rest }: Finding) =>
    `${vulnerability}\n${purl ?? rest.package}\n${version}\n${location}`;
  const [first, second] = [name(a), name(b)];
  return (
    decisiveTenths(b) - decisiveTenths(a) ||
    severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
    (first < second ? -1 : first > second ? 1 : 0)
  );
}

/** Of what counts. */
export function countBySeverity(findings: readonly Finding[]): SeverityCounts {
  const found: SeverityCounts = { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 };
  for (const each of findings) if (counts(each)) found[each.severity] += 1;
  return found;
}

/** As the item keeps it: gzip of JSON. Findings with absurdly long names are dropped from the end until it fits. */
export function encodeEvidence({ tenths, ...shown }: Evidence): Uint8Array {
  let { worst, suppressed } = shown;
  for (;;) {
    const bytes = gzipSync(JSON.stringify({ tenths, worst, suppressed }));
    if (bytes.length <= maxBytes || worst.length + suppressed.worst.length === 0) return bytes;
    worst = firstHalf(worst);
    suppressed = { ...suppressed, worst: firstHalf(suppressed.worst) };
  }
}

const firstHalf = (findings: readonly Finding[]) => findings.slice(0, Math.floor(findings.length / 2));

export const decodeEvidence = (bytes: Uint8Array): Evidence =>
  JSON.parse(gunzipSync(bytes).toString('utf8')) as Evidence;
