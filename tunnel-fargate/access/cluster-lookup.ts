import type { ClusterRecord, ClusterRepository } from '../../core/cluster/cluster-repository.ts';
import { Problem } from '../../core/problem/problem.ts';
import { clusterIdPattern } from '../../core/tenant/identifier.ts';
import { ShortLivedCache } from './short-lived-cache.ts';

/** Rejects with Problem NOT_FOUND, the same for a malformed ID, an absent cluster and another tenant's; or UNAVAILABLE. */
export type ClusterLookup = (tenantId: string, clusterId: string) => Promise<ClusterRecord>;

/** Finds a tenant's cluster; what was found holds for `ttlMs`, so that a disconnect is seen soon and a new cluster at once. */
export function clusterLookup(
  clusters: Pick<ClusterRepository, 'find'>,
  { ttlMs, now }: { ttlMs: number; now: () => number },
): ClusterLookup {
  const known = new ShortLivedCache<ClusterRecord | undefined>({ ttlMs, maxSize: 5_000, now });
  return async (tenantId, clusterId) => {
    if (!clusterIdPattern.test(clusterId)) throw new Problem('NOT_FOUND');
    let found: ClusterRecord | undefined;
    try {
      found = await known.get(
        `${tenantId} ${clusterId}`,
        () => clusters.find(tenantId, clusterId),
        (record) => record !== undefined,
      );
    } catch (error) {
      throw error instanceof Problem ? error : new Problem('UNAVAILABLE', undefined, { cause: error });
    }
    if (!found) throw new Problem('NOT_FOUND');
    return found;
  };
}
