/** The middle value, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? NaN) + upper) / 2 : upper;
}

/**
 * How many times `of` is `to`: the median of the ratios of each round, so that what slowed a whole round down counts
 * for neither. Both have a value for every round. Undefined when a round has no ratio.
 */
export function pairedRatio(of: readonly number[], to: readonly number[]): number | undefined {
  const ratios = of.map((value, round) => value / (to[round] ?? NaN));
  const ratio = median(ratios);
  return of.length === to.length && ratios.length > 0 && ratios.every(Number.isFinite) ? ratio : undefined;
}

/** Rounded to so many significant digits, for tables and files: more would be noise. */
export const significant = (value: number, digits = 3): number => Number(value.toPrecision(digits));
