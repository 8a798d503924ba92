import type * as z from 'zod';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { clusterSettings } from '../../core/cluster/cluster-schema.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';

/**
 * Changes what a tenant decides about one of its clusters; users' requests follow within 5 s.
 * Throws NOT_FOUND for an absent, disconnected (or just being disconnected) or other tenant's cluster.
 * Units: 1 write per KB of the cluster (2 to 3).
 */
export async function changeClusterSettings(
  { registered, logger }: Pick<Dependencies, 'registered' | 'logger'>,
  { tenantId, principal }: Caller,
  clusterId: string,
  settings: z.infer<typeof clusterSettings>,
): Promise<ClusterRecord> {
  const cluster = await registered.changeSettings(tenantId, clusterId, settings);
  if (!cluster) throw new Problem('NOT_FOUND');
  logger.info('cluster settings changed', { tenantId, principal, clusterId, ...settings });
  return cluster;
}
