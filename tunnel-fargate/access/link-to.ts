import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';
import type { Router } from '../directory/router.ts';

type Needs = {
  readonly router: Router;
  /** How long a request waits for a cluster that is reconnecting, ms. */
  readonly routeWaitMs: number;
};

/** What a client may do about a cluster that is away: Guardian dials again every 5 s (guardian.md §2.4). */
const retryAfterSeconds = 5;

/**
 * The way into a cluster of the caller's tenant; waits while it is reconnecting. Rejects with Problem
 * CLUSTER_NOT_CONNECTED or UNAVAILABLE, or with the reason of the signal.
 */
export async function linkTo(
  { clusterId }: ClusterRecord,
  { tenantId }: Caller,
  { router, routeWaitMs: waitMs }: Needs,
  signal: AbortSignal,
): Promise<ClusterLink> {
  const route = await router.route(clusterId, { waitMs, signal });
  if (route.kind === 'absent') {
    const since = route.since === undefined ? 'not connected yet' : sinceText(route.since);
    throw new Problem('CLUSTER_NOT_CONNECTED', `The cluster is ${since}.`, {
      headers: { 'Retry-After': String(retryAfterSeconds) },
    });
  }
  // Two sources say whose the cluster is: the tenant's own table and the certificate of its tunnel.
  if (route.link.tenantId !== tenantId || route.link.clusterId !== clusterId) {
    throw new Problem('INTERNAL', undefined, {
      cause: new Error(`the link of ${clusterId} is of ${route.link.tenantId} ${route.link.clusterId}`),
    });
  }
  return route.link;
}

const sinceText = (since: number) => `not connected since ${new Date(since).toISOString()}`;
