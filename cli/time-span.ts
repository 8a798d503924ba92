import { Failure } from './failure.ts';

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Seconds of `90d`, `12h`, `30m`, `600s`. Throws a Failure of usage. */
export function secondsOf(text: string): number {
  const [, count, unit] = /^(\d{1,8})([smhd])$/.exec(text) ?? [];
  const size = unit === undefined ? undefined : unitSeconds[unit];
  if (size === undefined)
    throw new Failure('usage', `${text} is no span of time: write 90d, 12h, 30m or 600s.`);
  return Number(count) * size;
}
