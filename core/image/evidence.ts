import { gunzipSync, gzipSync } from 'node:zlib';
import { type Packed, packed, unpacked } from './evidence-columns.ts';
import { type Finding, type JudgedFinding, severities, type Severity } from './image-schema.ts';

/** Most bytes of encoded evidence unless it is said otherwise (DynamoDB: 400 KB an item). */
export const maxEvidenceBytes = 200 * 1024;

/** Findings that are kept apart: they bound the time of a judgement, which every admission review waits for. */
const maxKept = 10_000;

/** Findings that are no longer told apart: how many there are of each kind that a policy's rules tell apart. */
export type RestGroup = {
  readonly count: number;
  /** Decisive score in tenths. */
  readonly tenths: number;
  readonly severity: Severity;
  readonly isFixable: boolean;
  readonly isKnownExploited: boolean;
  /** In hundredths, rounded up; absent: unknown. */
  readonly epss?: number;
};

/**
 * All that is needed of a report's findings so that an image can be judged again under any policy, at any time, from a
 * small item. The whole findings are in pages beside it, and in the report.
 */
export type Evidence = {
  /** The worst first. Those that the report suppresses are among them. */
  readonly findings: readonly JudgedFinding[];
  /**
   * Of findings that count, where there were too many to keep them apart: no exception, no statement and no grace is
   * assumed for them, so that leaving them out never helps an image.
   */
  readonly rest: readonly RestGroup[];
  /** How many of those that the report suppresses are not among `findings`. */
  readonly suppressedRest: number;
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
export const decisiveTenths = ({ score, severity }: Pick<Finding, 'score' | 'severity'>): number =>
  score === undefined ? bandOf[severity] : Math.round(score * 10);

/** Whether there is a fix: what policies and searches mean by fixable. */
export const isFixable = ({ fix }: Pick<Finding, 'fix'>): boolean =>
  fix.state === 'fixed' || fix.versions.length > 0;

/** The same findings in another order give the same evidence. */
export function evidenceOf(findings: readonly (Finding | JudgedFinding)[]): Evidence {
  const judged = findings.map((each): JudgedFinding => {
    const { cvss: _cvss, ...rest } = { cvss: undefined, ...each };
    return rest;
  });
  return { findings: worstFirst(judged), rest: [], suppressedRest: 0 };
}

/** By score, then severity, then name; of what is all the same in that, by all else. */
export function worstFirst<Each extends JudgedFinding>(findings: readonly Each[]): Each[] {
  const keyed = findings.map((finding) => ({
    finding,
    tenths: decisiveTenths(finding),
    severity: severities.indexOf(finding.severity),
    name: `${finding.vulnerability}\n${finding.purl ?? finding.package}\n${finding.version}\n${finding.location}`,
  }));
  keyed.sort(
    (a, b) =>
      b.tenths - a.tenths ||
      a.severity - b.severity ||
      ascending(a.name, b.name) ||
      ascending(whole(a.finding), whole(b.finding)),
  );
  return keyed.map(({ finding }) => finding);
}

const ascending = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** All that a finding says, whatever the order of its members. */
const whole = (finding: JudgedFinding): string =>
  JSON.stringify(Object.entries(finding).sort(([a], [b]) => ascending(a, b)));

/**
 * As items keep it: gzip of columns, about 2 KB for 100 findings, 6 KB for 1,500. The least severe are folded into `rest`
 * beyond 10,000, and until it has at most `maxBytes`, which must not be less than 10 KB.
 */
export function encodeEvidence(evidence: Evidence, maxBytes = maxEvidenceBytes): Uint8Array {
  let kept = Math.min(evidence.findings.length, maxKept);
  for (;;) {
    const bytes = gzipSync(JSON.stringify(packed(folded(evidence, kept, 1))));
    if (bytes.length <= maxBytes) return bytes;
    if (kept === 0) break;
    kept = Math.floor(Math.min(kept * 0.95, (kept * 0.98 * maxBytes) / bytes.length));
  }
  // What is left are more kinds than any real report has: they are told apart more coarsely.
  return gzipSync(JSON.stringify(packed(folded(evidence, 0, 100))));
}

export const decodeEvidence = (bytes: Uint8Array): Evidence =>
  unpacked(JSON.parse(gunzipSync(bytes).toString('utf8')) as Packed);

/** With the worst `kept` findings, and EPSS of the others rounded up to so many hundredths. */
function folded({ findings, rest, suppressedRest }: Evidence, kept: number, grain: number): Evidence {
  const left = findings.slice(kept);
  const counted = left.filter(({ suppressed }) => suppressed === undefined);
  const groups = new Map<string, RestGroup>();
  for (const { count, epss, ...kind } of [...rest, ...counted.map(groupOf)]) {
    const coarse = epss === undefined ? {} : { epss: Math.ceil(epss / grain) * grain };
    const key = JSON.stringify([
      kind.tenths,
      kind.severity,
      kind.isFixable,
      kind.isKnownExploited,
      coarse.epss,
    ]);
    groups.set(key, { ...kind, ...coarse, count: count + (groups.get(key)?.count ?? 0) });
  }
  const inOrder = [...groups].sort(([a], [b]) => ascending(a, b)).map(([, group]) => group);
  return {
    findings: findings.slice(0, kept),
    rest: inOrder,
    suppressedRest: suppressedRest + left.length - counted.length,
  };
}

const groupOf = (finding: JudgedFinding): RestGroup => ({
  count: 1,
  tenths: decisiveTenths(finding),
  severity: finding.severity,
  isFixable: isFixable(finding),
  isKnownExploited: finding.knownExploited === true,
  ...(finding.epss === undefined ? {} : { epss: hundredths(finding.epss.score) }),
});

/** The least that is not below it. */
function hundredths(score: number): number {
  const below = Math.floor(score * 100);
  return below / 100 >= score ? below : below + 1;
}
