import { type Verdict, verdicts } from './image-schema.ts';

export const harshness = (verdict: Verdict): number => verdicts.indexOf(verdict);

export const worst = (a: Verdict, b: Verdict): Verdict => (harshness(b) > harshness(a) ? b : a);

/**
 * From when on something warns, and fails (epoch milliseconds; Infinity: never). As long as rules and results stay as they
 * are, time makes a verdict worse and never better: grace ends, exceptions expire, scans age.
 */
export type Timeline = { readonly warnFrom: number; readonly failFrom: number };

export const always: Timeline = { warnFrom: -Infinity, failFrom: -Infinity };
export const never: Timeline = { warnFrom: Infinity, failFrom: Infinity };

/** Of a verdict that holds from a time on. */
export const from = (verdict: Verdict, at: number): Timeline => ({
  warnFrom: verdict === 'pass' ? Infinity : at,
  failFrom: verdict === 'fail' ? at : Infinity,
});

export const verdictAt = ({ warnFrom, failFrom }: Timeline, at: number): Verdict =>
  at >= failFrom ? 'fail' : at >= warnFrom ? 'warn' : 'pass';

/** The worse of both at any time. */
export const worse = (a: Timeline, b: Timeline): Timeline =>
  b.warnFrom >= a.warnFrom && b.failFrom >= a.failFrom
    ? a
    : { warnFrom: Math.min(a.warnFrom, b.warnFrom), failFrom: Math.min(a.failFrom, b.failFrom) };

/** When it becomes worse after `now`, and what it is then: at most twice, in their order. */
export function worsening(
  { warnFrom, failFrom }: Timeline,
  now: number,
): { readonly at: number; readonly verdict: Verdict }[] {
  return [
    ...(warnFrom > now && warnFrom < failFrom ? [{ at: warnFrom, verdict: 'warn' as const }] : []),
    ...(failFrom > now && failFrom < Infinity ? [{ at: failFrom, verdict: 'fail' as const }] : []),
  ];
}
