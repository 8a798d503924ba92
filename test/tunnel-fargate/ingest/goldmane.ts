/** What became of a bucket. Skipped: a newer one had got its 200, so Goldmane takes it for sent. */
export type BucketFate = 'delivered' | 'skipped' | 'dropped';

export type Bucket = {
  /** Unix seconds. */
  readonly end: number;
  /** When it is due, ms. */
  readonly dueAt: number;
};

/** Takes ms; true: Goldmane saw a 200. */
export type Post = (bucket: Bucket, attempt: number) => Promise<{ ok: boolean; tookMs: number }>;

/**
 * Goldmane's emitter in time of its own (docs/guardian.md §4.1): one POST at a time, each bucket with 15 retries 1 s
 * doubling to 30 s apart, and those that are not newer than the latest that got 200 skipped in silence.
 */
export async function emit(
  buckets: readonly Bucket[],
  clock: { now: number },
  post: Post,
): Promise<Map<Bucket, BucketFate>> {
  const fates = new Map<Bucket, BucketFate>();
  const due = buckets.map((bucket) => ({ bucket, at: bucket.dueAt, attempt: 1 }));
  let latest = 0;
  for (;;) {
    due.sort((one, other) => one.at - other.at || one.bucket.end - other.bucket.end);
    const next = due.shift();
    if (!next) return fates;
    const { bucket, attempt } = next;
    clock.now = Math.max(clock.now, next.at);
    if (bucket.end <= latest) {
      fates.set(bucket, 'skipped');
      continue;
    }
    const { ok, tookMs } = await post(bucket, attempt);
    clock.now += tookMs;
    if (ok) {
      latest = bucket.end;
      fates.set(bucket, 'delivered');
    } else if (attempt > 15) {
      fates.set(bucket, 'dropped');
    } else {
      due.push({
        bucket,
        at: clock.now + Math.min(1_000 * 2 ** (attempt - 1), 30_000),
        attempt: attempt + 1,
      });
    }
  }
}
