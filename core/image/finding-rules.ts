import { decisiveTenths, isFixable, type RestGroup } from './evidence.ts';
import { always, from, never, type Timeline } from './timeline.ts';
import type { RepositoryPolicy, Threshold } from './image-policy-schema.ts';
import {
  type JudgedFinding,
  severities,
  type Severity,
  type Verdict,
  type VerdictReason,
  type VerdictRule,
} from './image-schema.ts';

const day = 86_400_000;

/** What rules look at. */
export type Facts = {
  /** Decisive score. */
  readonly tenths: number;
  readonly severity: Severity;
  /** 0–1. */
  readonly epss: number | undefined;
  readonly isKnownExploited: boolean;
};

/** A rule of a policy that makes a finding fail or warn; thresholds are met inclusively. */
export type FindingRule = {
  readonly name: VerdictRule;
  readonly threshold: VerdictReason['threshold'];
  readonly isMet: (facts: Facts) => boolean;
};

export type FindingRules = {
  readonly fail: readonly FindingRule[];
  readonly warn: readonly FindingRule[];
};

export function findingRules({ warnAt, failAt, epss, knownExploited }: RepositoryPolicy): FindingRules {
  const rules = (verdict: 'fail' | 'warn', at: Threshold, probability: number | undefined): FindingRule[] => [
    ...atThreshold(verdict, at),
    ...(probability === undefined
      ? []
      : [
          {
            name: `epss-${verdict}`,
            threshold: probability,
            isMet: (facts) => facts.epss !== undefined && facts.epss >= probability,
          } satisfies FindingRule,
        ]),
    ...(knownExploited === verdict
      ? [
          {
            name: `known-exploited-${verdict}`,
            threshold: undefined,
            isMet: ({ isKnownExploited }) => isKnownExploited,
          } satisfies FindingRule,
        ]
      : []),
  ];
  return { fail: rules('fail', failAt, epss.failAt), warn: rules('warn', warnAt, epss.warnAt) };
}

function atThreshold(verdict: 'fail' | 'warn', threshold: Threshold): FindingRule[] {
  if (threshold === 'never') return [];
  if (typeof threshold === 'number') {
    return [{ name: `cvss-${verdict}`, threshold, isMet: ({ tenths }) => tenths / 10 >= threshold }];
  }
  const least = severities.indexOf(threshold);
  return [
    {
      name: `severity-${verdict}`,
      threshold,
      isMet: ({ severity }) => severities.indexOf(severity) <= least,
    },
  ];
}

export const factsOf = (finding: JudgedFinding): Facts => ({
  tenths: decisiveTenths(finding),
  severity: finding.severity,
  epss: finding.epss?.score,
  isKnownExploited: finding.knownExploited === true,
});

export const factsOfRest = ({ tenths, severity, epss, isKnownExploited }: RestGroup): Facts => ({
  tenths,
  severity,
  epss: epss === undefined ? undefined : epss / 100,
  isKnownExploited,
});

/** A policy as it is asked for findings. */
export type ReadyPolicy = { readonly policy: RepositoryPolicy; readonly rules: FindingRules };

export const ready = (policy: RepositoryPolicy): ReadyPolicy => ({ policy, rules: findingRules(policy) });

/** A finding and what is to be known of it to judge it; times are epoch milliseconds. */
export type Case = {
  readonly finding: JudgedFinding;
  /** When the scan was made that has it. */
  readonly scannedAt: number;
  /** Until when an exception holds it; -Infinity: none. */
  readonly heldUntil: number;
};

/** When a finding makes its image warn, and fail, by itself. */
export function timelineOf(
  { finding, scannedAt, heldUntil }: Case,
  { policy, rules }: ReadyPolicy,
): Timeline {
  if (policy.onlyFixable && !isFixable(finding)) return never;
  const facts = factsOf(finding);
  const fails = rules.fail.some(({ isMet }) => isMet(facts));
  if (!fails && !rules.warn.some(({ isMet }) => isMet(facts))) return never;
  const failFrom = fails ? Math.max(heldUntil, graceEnd(finding, scannedAt, policy)) : Infinity;
  return { warnFrom: heldUntil, failFrom };
}

/** Of one group of findings that are not told apart: there is neither an exception nor grace for them. */
export function timelineOfRest(group: RestGroup, { policy, rules }: ReadyPolicy): Timeline {
  if (policy.onlyFixable && !group.isFixable) return never;
  const facts = factsOfRest(group);
  if (rules.fail.some(({ isMet }) => isMet(facts))) return always;
  return rules.warn.some(({ isMet }) => isMet(facts)) ? from('warn', -Infinity) : never;
}

/** It was known at the latest when a scan has found it, whatever date a report gives. */
function graceEnd(
  { publishedAt }: JudgedFinding,
  scannedAt: number,
  { graceDays }: RepositoryPolicy,
): number {
  if (graceDays === 0 || publishedAt === undefined) return -Infinity;
  return Math.min(Date.parse(publishedAt), scannedAt) + graceDays * day;
}

/**
 * The rules by which something has the verdict, harshest first: for `warn` also `grace`, where it meets a rule by which
 * it would fail.
 */
export function rulesMet(
  facts: Facts,
  { policy, rules }: ReadyPolicy,
  verdict: Verdict,
): Pick<FindingRule, 'name' | 'threshold'>[] {
  if (verdict === 'pass') return [];
  const met = rules[verdict].filter(({ isMet }) => isMet(facts));
  return verdict === 'warn' && rules.fail.some(({ isMet }) => isMet(facts))
    ? [...met, { name: 'grace', threshold: policy.graceDays }]
    : met;
}
