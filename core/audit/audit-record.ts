import { createHash } from 'node:crypto';

/**
 * What a record says. `request`: one request, at its end. `open` and `end`: one that may go on for hours (a watch, a
 * followed log, an upgraded stream), at both. `refusals`: a number of requests that were refused unread, so many that
 * one record each would be a way to flood the trail. The others are of the chain itself: a day begins and ends with its
 * marker, and a task that stops in order ends its chain with `closed`.
 */
export type AuditPhase = 'request' | 'open' | 'end' | 'refusals' | 'day-start' | 'day-end' | 'closed';

/** How a request ended: the answer is out; the client left; we or the cluster broke off; its user lost the right. */
export type AuditOutcome = 'complete' | 'client-gone' | 'cut' | 'revoked';

/** Of a request: who, where, what, and how it went. Never a header, a query or a body. */
export type AuditFacts = {
  readonly requestId?: string;
  readonly principal?: string;
  /** As asked for; whether it is one of the tenant's shows in `decision`. */
  readonly clusterId?: string;
  readonly verb?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
  /** Of what is no Kubernetes resource: discovery, OpenAPI. Without its query. */
  readonly path?: string;
  readonly decision?: 'allowed' | 'refused';
  /** Our problem code, when we answered with a failure. */
  readonly code?: string;
  /** HTTP status of the answer; absent when none was begun. */
  readonly status?: number;
  /** Bytes of the bodies: from the client, and to it. */
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly durationMs?: number;
  readonly outcome?: AuditOutcome;
  /** Of `refusals`: how many. */
  readonly count?: number;
  /** A text was too long and is cut. */
  readonly clipped?: true;
};

export type AuditRecord = AuditFacts & {
  readonly v: 1;
  readonly tenantId: string;
  readonly taskId: string;
  /** 1, 2, 3 … without a gap in the chain of one task and one tenant. */
  readonly seq: number;
  /** ISO 8601, UTC; never goes back within a chain. Its day is the day of the object. */
  readonly time: string;
  readonly phase: AuditPhase;
  /** Lower-case hex; `hash` of the record before, or {@link genesis}. */
  readonly prev: string;
  /** Lower-case hex SHA-256 of `prev` and the canonical JSON of all but `prev` and `hash`. */
  readonly hash: string;
};

const sha256 = (...texts: readonly string[]): string => {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text, 'utf8');
  return hash.digest('hex');
};

/** `prev` of a chain's first record: a chain cannot be passed off as another task's or another tenant's. */
export const genesis = (tenantId: string, taskId: string): string =>
  sha256(`cattery audit v1\n${tenantId}\n${taskId}\n`);

/** RFC 8785 for what records are: one flat object of strings, booleans and whole numbers. */
export function canonicalJson(record: Readonly<Record<string, unknown>>): string {
  const members = Object.entries(record).filter(([, value]) => value !== undefined);
  // By UTF-16 code units, as the RFC wants it; so does sort().
  const names = members.map(([name]) => name).sort();
  const values = new Map(members);
  return `{${names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(values.get(name))}`).join(',')}}`;
}

/** What `hash` of a record must be. */
export function hashOf({ prev, hash: _hash, ...rest }: Record<string, unknown> & { prev: string }): string {
  return sha256(prev, canonicalJson(rest));
}

/** Links a record to the one before. */
export function seal(record: Omit<AuditRecord, 'hash'>): AuditRecord {
  return { ...record, hash: hashOf(record) };
}
