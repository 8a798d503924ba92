/** What a report may be at most. Each is far above what scanners write in so many bytes; all bound memory and time. */
export type ReportLimits = {
  /** After decompression. */
  readonly bytes: number;
  /** Arrays and objects. Real reports have one for each 40 bytes and more; empty ones take a hundred times their text's memory. */
  readonly containers: number;
  /** Members of objects; names that are all different take many times their text's memory. */
  readonly members: number;
  /** Counted and suppressed ones together. */
  readonly findings: number;
};

/** Of a report in the body of a request: Lambda's event holds 6 MB, escaped. */
export const inlineLimits: ReportLimits = {
  bytes: 4 * 1024 * 1024,
  containers: 250_000,
  members: 1_000_000,
  findings: 20_000,
};

/** Of a report that was put into the bucket: what fits into the function's memory and time, measured with reports made to hurt. */
export const storedLimits: ReportLimits = {
  bytes: 64 * 1024 * 1024,
  containers: 1_000_000,
  members: 2_000_000,
  findings: 100_000,
};
