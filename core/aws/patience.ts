/**
 * How long one attempt at AWS may take, ms; the SDK makes three. Its own bound is none: when the network loses packets
 * without a word, a question would hang for the quarter of an hour that TCP tries, and what asks in turn (revocations,
 * the lease, a tenant's audit) with it. A write whose answer was lost may have been made: each of ours can be repeated.
 */
export const patience = {
  /** Small questions: DynamoDB, STS, Secrets Manager. */
  answers: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  /** Objects of some megabytes in S3. */
  objects: { connectionTimeout: 2_000, requestTimeout: 30_000, throwOnRequestTimeout: true },
} as const;

/** What the work comes to; rejects when that takes longer, ms, and does not look at it then. */
export async function within<Value>(
  ms: number,
  work: Promise<Value>,
  late: () => Error = () => new Error(`no answer within ${ms} ms`),
): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
