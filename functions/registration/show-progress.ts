import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import { type AttemptState, attemptStates, type Progress } from '../../core/cluster/progress-schema.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';
import type { ProgressRecord } from './progress-repository.ts';
import { stateOf } from './progress-states.ts';
import { attemptView, noAttempt } from './progress-view.ts';
import { keptAttempts } from './report-progress.ts';

/**
 * How long `?follow=` waits for something newer, ms. The function has 25 s and the gateway 29, so that 5 are left to
 * start and to answer.
 */
export const followMs = 20_000;
/** How often it looks, ms. */
const lookEveryMs = 1_000;

/** A place is kept longer than anyone waits, ms: until the function's own end. */
const placeMs = 25_000;

type Needs = Pick<Dependencies, 'clusters' | 'progress' | 'followers' | 'now' | 'wait' | 'random'>;
/** What a cursor stands for: how much its holder has seen, and in which state, for silence changes that without a write. */
type Seen = { readonly version: number; readonly state: AttemptState };

/**
 * What a cluster's installers have reported: the attempt that began last, and those before it. With the cursor of an
 * earlier answer it waits, at most 20 s, until there is something newer; not when five of the tenant wait already.
 * Throws NOT_FOUND for an absent, disconnected (while it waits, too) or other tenant's cluster, and for any but its own
 * when a cluster asks; INVALID_CURSOR.
 * Units: 2 reads, and 1 per 4 KB of the older attempts (at least 1). Following: half a read for each second that
 * it waits, 3 more, and 2 writes: 16 and 2 for 20 s of silence.
 */
export async function showProgress(
  deps: Needs,
  caller: Caller,
  clusterId: string,
  follow: string | undefined,
): Promise<{ progress: Progress; cluster: ClusterRecord }> {
  onlyItsOwn(caller, clusterId);
  const { tenantId } = caller;
  const seen = readCursor(tenantId, clusterId, follow);
  let cluster = await deps.clusters.find(tenantId, clusterId);
  if (!cluster) throw new Problem('NOT_FOUND');
  let record = await deps.progress.find(tenantId, clusterId);
  if (seen && !newer(record, seen, deps.now())) {
    const follower = Buffer.from(deps.random(12)).toString('hex');
    const now = deps.now();
    if (await deps.followers.enter(tenantId, follower, { until: now + placeMs, now })) {
      try {
        record = await next(deps, { tenantId, clusterId }, record, seen);
      } finally {
        await deps.followers.leave(tenantId, follower, deps.now());
      }
      cluster = await deps.clusters.find(tenantId, clusterId);
      if (!cluster) throw new Problem('NOT_FOUND');
    }
  }
  const older = await deps.progress.listOlder(tenantId, clusterId);
  return { progress: progressView({ tenantId, clusterId }, record, older, deps.now()), cluster };
}

/** Looks again until there is something newer or the time is over. */
async function next(
  { progress, now, wait }: Needs,
  { tenantId, clusterId }: { readonly tenantId: string; readonly clusterId: string },
  known: ProgressRecord | undefined,
  seen: Seen,
): Promise<ProgressRecord | undefined> {
  const until = now() + followMs;
  let record = known;
  while (now() < until && !newer(record, seen, now())) {
    await wait(Math.min(lookEveryMs, until - now()));
    const found = await progress.find(tenantId, clusterId, { consistent: false });
    // A replica that lags shows what was before.
    if (found && found.version >= (record?.version ?? 0)) record = found;
  }
  return record;
}

const newer = (record: ProgressRecord | undefined, seen: Seen, now: number): boolean => {
  const { version, state } = seenIn(record, now);
  return version > seen.version || (version === seen.version && state !== seen.state);
};

const seenIn = (record: ProgressRecord | undefined, now: number): Seen =>
  record ? { version: record.version, state: stateOf(record.current, now) } : { version: 0, state: 'none' };

function progressView(
  { tenantId, clusterId }: { readonly tenantId: string; readonly clusterId: string },
  record: ProgressRecord | undefined,
  found: Awaited<ReturnType<Needs['progress']['listOlder']>>,
  now: number,
): Progress {
  const older = (record?.older ?? []).slice(0, keptAttempts);
  const byName = new Map(found.map((attempt) => [attempt.attempt, attempt]));
  return {
    ...(record ? attemptView(record.current, now) : noAttempt),
    tigerastatus: [...(record?.current.tigerastatus?.value ?? [])],
    cursor: writeCursor(tenantId, clusterId, seenIn(record, now)),
    attempts: older.flatMap((name) => {
      const attempt = byName.get(name);
      return attempt ? [attemptView(attempt, now)] : [];
    }),
  };
}

const listOf = (clusterId: string): string => `PROGRESS/${clusterId}`;

const writeCursor = (tenantId: string, clusterId: string, { version, state }: Seen): string =>
  encodeCursor(tenantId, listOf(clusterId), `${version}.${state}`);

function readCursor(tenantId: string, clusterId: string, cursor: string | undefined): Seen | undefined {
  const text = decodeCursor(tenantId, listOf(clusterId), cursor);
  if (text === undefined) return undefined;
  const [version = '', word = ''] = text.split('.');
  const state = attemptStates.find((each) => each === word);
  if (!/^\d{1,15}$/.test(version) || !state) throw new Problem('INVALID_CURSOR');
  return { version: Number(version), state };
}
