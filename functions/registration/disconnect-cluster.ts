import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';

/**
 * Disconnects a cluster: it can no longer register again, its certificate is revoked (tunnels see that within
 * seconds), its credential and name are gone, and a tombstone is left. If it stops half-way, asking again completes it.
 * Throws NOT_FOUND for an absent, disconnected or other tenant's cluster. Units: about 14 writes (6 of them the answer).
 */
export async function disconnectCluster(
  deps: Pick<
    Dependencies,
    'registered' | 'answers' | 'certificates' | 'identities' | 'names' | 'now' | 'logger'
  >,
  tenantId: string,
  clusterId: string,
): Promise<void> {
  const cluster = await deps.registered.beginDisconnect(tenantId, clusterId, deps.now());
  if (!cluster) throw new Problem('NOT_FOUND');
  await deps.answers.remove(tenantId, clusterId);
  await deps.certificates.revoke(cluster, deps.now());
  await deps.identities.deleteCredential(cluster.tokenHash);
  await deps.names.free({ tenantId, ...cluster });
  await deps.registered.endDisconnect(tenantId, cluster, deps.now());
  deps.logger.info('cluster disconnected', { tenantId, clusterId, fingerprint: cluster.fingerprint });
}
