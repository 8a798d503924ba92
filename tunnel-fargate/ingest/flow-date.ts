const day = 86_400_000;

/** Enough of a body to hold the times of its first flow when the key comes first, bytes; longer lines count as undated. */
export const firstLineBytes = 65_536;

/**
 * The UTC date under which a body is stored, `YYYY-MM-DD`: that of its first flow's `start_time` (unix seconds,
 * guardian.md §4.1), so that the same body gets the same name however late it is sent again. A time that is missing or
 * not within the last week is the sender's mistake: the date of receipt then.
 */
export function flowDate(firstLine: string, now: number): string {
  const start = startOf(firstLine);
  const plausible = start !== undefined && start > now - 7 * day && start < now + day;
  return new Date(plausible ? start : now).toISOString().slice(0, 10);
}

function startOf(line: string): number | undefined {
  try {
    const flow = JSON.parse(line) as unknown;
    if (typeof flow !== 'object' || flow === null || !('start_time' in flow)) return undefined;
    return typeof flow.start_time === 'number' ? flow.start_time * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
