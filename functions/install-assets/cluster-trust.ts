import type { Trust } from '../../core/certificate/trust-repository.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';

/** The caller's cluster; NOT_FOUND for an absent one, another tenant's, and for any but its own when a cluster asks. */
export async function ownCluster(
  { clusters }: Pick<Dependencies, 'clusters'>,
  caller: Caller,
  clusterId: string,
): Promise<ClusterRecord> {
  onlyItsOwn(caller, clusterId);
  const cluster = await clusters.find(caller.tenantId, clusterId);
  if (!cluster) throw new Problem('NOT_FOUND');
  return cluster;
}

/** The deployment's trust; UNAVAILABLE while the directory does not answer or the certificates are not made yet. */
export async function trustOf({ trust }: Pick<Dependencies, 'trust'>): Promise<Trust> {
  let found: Trust | undefined;
  try {
    found = await trust.read();
  } catch (cause) {
    throw new Problem('UNAVAILABLE', 'The directory does not answer.', { cause });
  }
  if (!found) throw new Problem('UNAVAILABLE', 'The certificates of this deployment are not made yet.');
  return found;
}
