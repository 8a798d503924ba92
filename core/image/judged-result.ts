import {
  factsOf,
  factsOfRest,
  type ReadyPolicy,
  rulesMet,
  timelineOf,
  timelineOfRest,
} from './finding-rules.ts';
import { type Held, holds } from './image-rules.ts';
import {
  type JudgedFinding,
  type SuppressedFindings,
  type Verdict,
  type VerdictReason,
  verdictRules,
} from './image-schema.ts';
import type { JudgedOutcome } from './scanned-image.ts';
import { never, type Timeline, verdictAt, worse } from './timeline.ts';

/** Findings that do not count and are shown. */
const maxSuppressedShown = 20;

/** What the findings of one scanner's result make of the image. */
export type ResultJudgement = {
  readonly outcome: JudgedOutcome;
  readonly timeline: Timeline;
  readonly verdict: Verdict;
  /** Asked for where the result decides. */
  readonly reasons: () => VerdictReason[];
  readonly suppressed: () => SuppressedFindings;
};

type Judging = {
  readonly policies: readonly ReadyPolicy[];
  readonly holding: (finding: JudgedFinding) => Held | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
  /** How many findings each reason has at most. */
  readonly shown: number;
};

export function judgeResult(
  outcome: JudgedOutcome,
  { policies, holding, now, shown }: Judging,
): ResultJudgement {
  const { findings, rest, suppressedRest } = outcome.evidence();
  const { scannedAt } = outcome;
  const cases = findings.map((finding) => {
    const held = holding(finding);
    return { finding, held, scannedAt, heldUntil: held ? (held.until ?? Infinity) : -Infinity };
  });
  const judged = policies.map((policy) => {
    let timeline = never;
    for (const each of cases) timeline = worse(timeline, timelineOf(each, policy));
    for (const group of rest) timeline = worse(timeline, timelineOfRest(group, policy));
    return { policy, timeline };
  });
  const timeline = judged.map((each) => each.timeline).reduce(worse, never);
  const verdict = verdictAt(timeline, now);

  /** By the first of the policies by which it has this verdict. */
  const reasons = (): VerdictReason[] => {
    const policy = judged.find((each) => verdictAt(each.timeline, now) === verdict)?.policy;
    if (!policy || verdict === 'pass') return [];
    const found = new Map<string, VerdictReason>();
    const note = (
      met: ReturnType<typeof rulesMet>,
      { finding, count }: { finding?: JudgedFinding; count: number },
    ) => {
      for (const { name: rule, threshold } of met) {
        const reason = found.get(rule) ?? {
          rule,
          ...(threshold === undefined ? {} : { threshold }),
          findings: [],
          total: 0,
        };
        found.set(rule, reason);
        reason.total += count;
        if (finding && reason.findings.length < shown) reason.findings.push(finding);
      }
    };
    for (const each of cases) {
      if (verdictAt(timelineOf(each, policy), now) !== verdict) continue;
      note(rulesMet(factsOf(each.finding), policy, verdict), { finding: each.finding, count: 1 });
    }
    for (const group of rest) {
      if (verdictAt(timelineOfRest(group, policy), now) !== verdict) continue;
      note(rulesMet(factsOfRest(group), policy, verdict), { count: group.count });
    }
    return verdictRules.flatMap((rule) => found.get(rule) ?? []);
  };

  const suppressed = (): SuppressedFindings => {
    const some = cases.flatMap(({ finding, held }) =>
      held && holds(held, now) ? [{ ...finding, suppressed: held.suppression }] : [],
    );
    return {
      total: some.length + suppressedRest,
      excepted: some.filter((each) => each.suppressed.status === 'excepted').length,
      findings: some.slice(0, Math.min(shown, maxSuppressedShown)),
    };
  };
  return { outcome, timeline, verdict, reasons, suppressed };
}
