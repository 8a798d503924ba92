import { factsOf, ready, type ReadyPolicy, rulesMet, timelineOf } from './finding-rules.ts';
import { holds, type ImageRules } from './image-rules.ts';
import {
  type JudgedFinding,
  type SuppressedFindings,
  type Suppression,
  type Verdict,
  type VerdictReason,
  type VerdictRule,
  verdictRules,
} from './image-schema.ts';
import { judgeResult, type ResultJudgement } from './judged-result.ts';
import type { JudgedImage, JudgedOutcome } from './scanned-image.ts';
import { from, harshness, never, type Timeline, verdictAt, worse, worsening, worst } from './timeline.ts';

/** Findings that a reason shows at most. */
const maxShown = 50;
const day = 86_400_000;

export type Judgement = {
  /** Of the scanner that judges it worst, or what the age of the latest scan makes of it. */
  readonly verdict: Verdict;
  /** The rules that decided, harshest first, with what met them; none for `pass`. Of the deciding scanner. */
  readonly reasons: VerdictReason[];
  /** What does not count, of the deciding scanner. */
  readonly suppressed: SuppressedFindings;
  /** When (epoch milliseconds, rising, after now) it becomes worse by itself, and what it is then; at most 2. */
  readonly worsens: readonly { readonly at: number; readonly verdict: Verdict }[];
  /** Name of the scanner whose result decided, of several the latest; absent: there is no result. */
  readonly deciding?: string;
  /** What each scanner's findings make of it, the deciding one first. */
  readonly scanners: readonly { readonly scannerName: string; readonly verdict: Verdict }[];
};

/**
 * Judges an image by its tenant's rules at a time (epoch milliseconds). The verdict is that of the scanner that judges it
 * worst: what one has found, another that does not know it does not clear. `shown`: how many findings each reason has at
 * most (50 otherwise). Pure: the same image, rules and time give the same judgement.
 */
export function judgeImage(
  image: JudgedImage,
  rules: ImageRules,
  now: number,
  { shown = maxShown }: { readonly shown?: number } = {},
): Judgement {
  const policies = rules.of(image).map(ready);
  const holding = rules.holding(image);
  const results = image.results
    .map((outcome) => judgeResult(outcome, { policies, holding, now, shown }))
    .sort(decidingFirst);
  const [first] = results;
  if (!first) return unscanned(policies);

  const ages = policies.flatMap(({ policy }) => ageing(results, policy));
  const timeline = [...results, ...ages].map((each) => each.timeline).reduce(worse, never);
  const verdict = verdictAt(timeline, now);
  const decides = (each: { readonly timeline: Timeline }) =>
    verdict !== 'pass' && verdictAt(each.timeline, now) === verdict;
  const age = ages.find(decides);
  // Where nothing but age speaks against it, it is that of the latest scan.
  const deciding = age && !decides(first) ? newest(results) : first;
  return {
    verdict,
    reasons: [
      ...(decides(first) ? first.reasons() : []),
      ...(age ? [{ rule: 'scan-age' as const, threshold: age.days, findings: [], total: 0 }] : []),
    ],
    suppressed: deciding.suppressed(),
    worsens: worsening(timeline, now),
    deciding: deciding.outcome.scannerName,
    scanners: [deciding, ...results.filter((each) => each !== deciding)].map((each) => ({
      scannerName: each.outcome.scannerName,
      verdict: each.verdict,
    })),
  };
}

/** The worst, then the latest. */
const decidingFirst = (a: ResultJudgement, b: ResultJudgement): number =>
  harshness(b.verdict) - harshness(a.verdict) ||
  b.outcome.scannedAt - a.outcome.scannedAt ||
  (a.outcome.scannerName < b.outcome.scannerName ? -1 : 1);

const newest = (results: readonly ResultJudgement[]): ResultJudgement =>
  results.reduce((latest, each) => (each.outcome.scannedAt > latest.outcome.scannedAt ? each : latest));

type Ageing = { readonly timeline: Timeline; readonly days: number };

/** The latest scan of any scanner counts: one that is no longer in use makes no image old. */
function ageing(
  results: readonly ResultJudgement[],
  { maxScanAgeDays, stale }: ReadyPolicy['policy'],
): Ageing[] {
  if (maxScanAgeDays === undefined) return [];
  const { scannedAt } = newest(results).outcome;
  return [{ timeline: from(stale, scannedAt + maxScanAgeDays * day), days: maxScanAgeDays }];
}

/** Of an image that nobody has scanned. */
function unscanned(policies: readonly ReadyPolicy[]): Judgement {
  const verdict = policies.map(({ policy }) => policy.unscanned).reduce(worst, 'pass');
  return {
    verdict,
    reasons: verdict === 'pass' ? [] : [{ rule: 'unscanned', findings: [], total: 0 }],
    suppressed: { total: 0, excepted: 0, findings: [] },
    worsens: [],
    scanners: [],
  };
}

export type FindingJudgement = {
  /** What the finding alone makes of the image. */
  readonly verdict: Verdict;
  /** The rules that it meets, harshest first; none for `pass`. */
  readonly rules: readonly VerdictRule[];
  /** Why it does not count: then the verdict is `pass`. */
  readonly suppressed?: Suppression;
};

/** Judges single findings of one of the image's results just as `judgeImage` does: for pages of them, and searches. */
export function findingJudge(
  image: JudgedImage,
  { scannedAt }: Pick<JudgedOutcome, 'scannedAt'>,
  rules: ImageRules,
  now: number,
): (finding: JudgedFinding) => FindingJudgement {
  const policies = rules.of(image).map(ready);
  const holding = rules.holding(image);
  return (finding) => {
    const held = holding(finding);
    if (held && holds(held, now)) return { verdict: 'pass', rules: [], suppressed: held.suppression };
    const heldUntil = held?.until ?? -Infinity;
    const facts = factsOf(finding);
    const judged = policies.map((policy) => {
      const verdict = verdictAt(timelineOf({ finding, scannedAt, heldUntil }, policy), now);
      return { verdict, met: rulesMet(facts, policy, verdict) };
    });
    const verdict = judged.map((each) => each.verdict).reduce(worst, 'pass');
    const names = new Set(
      judged.flatMap((each) => (each.verdict === verdict ? each.met.map(({ name }) => name) : [])),
    );
    return { verdict, rules: verdictRules.filter((name) => names.has(name)) };
  };
}
