import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';

/**
 * Disconnects a cluster: it can no longer register again, all its certificates are revoked (tunnels see that within
 * seconds), its credential and name are gone, and a tombstone is left. If it stops half-way, asking again completes it.
 * The credential goes last, for a cluster that disconnects itself asks again with nothing else; with the tombstone in
 * place it opens nothing any more. To such a cluster 404 and 401 mean that it is done.
 * Throws NOT_FOUND for an absent, disconnected or other tenant's cluster, and for any but its own when a cluster asks.
 * Units: about 14 writes (6 of them the answer), 2 more for each further certificate; 1 read and 2 writes when it is
 * gone already.
 */
export async function disconnectCluster(
  deps: Pick<
    Dependencies,
    'registered' | 'answers' | 'certificates' | 'identities' | 'names' | 'now' | 'logger'
  >,
  caller: Caller,
  clusterId: string,
): Promise<void> {
  onlyItsOwn(caller, clusterId);
  const { tenantId, principal } = caller;
  const cluster = await deps.registered.beginDisconnect(tenantId, clusterId, deps.now());
  if (!cluster) {
    const hash = await deps.registered.tokenOfGone(tenantId, clusterId);
    if (hash !== undefined) await deps.identities.deleteCredential(hash);
    throw new Problem('NOT_FOUND');
  }
  await deps.answers.remove(tenantId, clusterId);
  const { fingerprint, renewal, outdated = [] } = cluster;
  for (const each of [fingerprint, ...(renewal ? [renewal.fingerprint] : []), ...outdated]) {
    await deps.certificates.revoke({ fingerprint: each, clusterId }, deps.now());
  }
  await deps.names.free({ tenantId, ...cluster });
  await deps.registered.endDisconnect(tenantId, cluster, deps.now());
  await deps.identities.deleteCredential(cluster.tokenHash);
  deps.logger.info('cluster disconnected', { tenantId, principal, clusterId, fingerprint });
}
