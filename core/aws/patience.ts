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
