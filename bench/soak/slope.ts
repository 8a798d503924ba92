export type Point = { readonly x: number; readonly y: number };

/**
 * The slope of a line through the points after Theil and Sen: the median of the slopes of all pairs. One collection of
 * garbage, or one burst, does not tilt it as it would a least-squares line. NaN of fewer than two points.
 */
export function medianSlope(points: readonly Point[]): number {
  const slopes: number[] = [];
  for (const [index, { x, y }] of points.entries()) {
    for (const other of points.slice(index + 1)) {
      if (other.x !== x) slopes.push((other.y - y) / (other.x - x));
    }
  }
  slopes.sort((a, b) => a - b);
  const middle = slopes.length / 2;
  const upper = slopes[Math.floor(middle)] ?? NaN;
  return Number.isInteger(middle) ? ((slopes[middle - 1] ?? NaN) + upper) / 2 : upper;
}

/** The lowest of every `count` points that follow each other; what is left over at the end counts as well. */
export function floors(points: readonly Point[], count: number): Point[] {
  const lowest: Point[] = [];
  for (let start = 0; start < points.length; start += count) {
    const some = points.slice(start, start + count);
    lowest.push(some.reduce((low, point) => (point.y < low.y ? point : low)));
  }
  return lowest;
}

/** The value that this share of them does not exceed; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}
