const day = 86_400_000;

/**
 * The UTC date under which flows are stored, `YYYY-MM-DD`: that on which the first of them began (unix seconds,
 * guardian.md §4.1), so that the same flows get the same name however late they are sent again. A time that is missing
 * or not within the last week is the sender's mistake: the date of receipt then.
 */
export function flowDate(startSeconds: number | undefined, now: number): string {
  const start = startSeconds === undefined ? undefined : startSeconds * 1_000;
  const plausible = start !== undefined && start > now - 7 * day && start < now + day;
  return new Date(plausible ? start : now).toISOString().slice(0, 10);
}
