import type { ImagePolicy, Verdict, VerdictReason } from '../../core/image/image-schema.ts';
import { decisiveTenths, type Evidence, maxShown } from './evidence.ts';

export type Judgement = { readonly verdict: Verdict; readonly reasons: VerdictReason[] };

/**
 * Judges by the two thresholds, both inclusive. The one reason is the rule that decided: `cvss-fail` for fail,
 * `cvss-warn` for warn, none for pass.
 */
export function judge(evidence: Evidence, { warnAt, failAt }: ImagePolicy): Judgement {
  const failing = meeting(evidence, failAt);
  if (failing.total > 0) {
    return { verdict: 'fail', reasons: [{ rule: 'cvss-fail', threshold: failAt, ...failing }] };
  }
  const warning = meeting(evidence, warnAt);
  if (warning.total > 0) {
    return { verdict: 'warn', reasons: [{ rule: 'cvss-warn', threshold: warnAt, ...warning }] };
  }
  return { verdict: 'pass', reasons: [] };
}

function meeting({ tenths, worst }: Evidence, threshold: number): Pick<VerdictReason, 'findings' | 'total'> {
  const total = Object.entries(tenths)
    .filter(([score]) => Number(score) / 10 >= threshold)
    .reduce((sum, [, count]) => sum + count, 0);
  const findings = worst.filter((each) => decisiveTenths(each) / 10 >= threshold).slice(0, maxShown);
  return { findings, total };
}
