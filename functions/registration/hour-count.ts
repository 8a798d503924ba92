/** How often something was begun in the hour that began then (epoch milliseconds). */
export type HourCount = { readonly since: number; readonly begun: number };

const hourMs = 3_600_000;

/** The count with one more, begun `now` (epoch ms); it is the first of another hour when the last one is over. */
export const oneMore = (hour: HourCount | undefined, now: number): HourCount =>
  hour && now - hour.since < hourMs ? { ...hour, begun: hour.begun + 1 } : { since: now, begun: 1 };

/** The header that says when the hour is over. */
export const afterTheHour = ({ since }: HourCount, now: number): Readonly<Record<string, string>> => ({
  'Retry-After': String(Math.max(1, Math.ceil((since + hourMs - now) / 1000))),
});
