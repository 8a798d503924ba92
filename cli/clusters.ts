import * as z from 'zod';
import { cluster } from '../core/cluster/cluster-schema.ts';
import type { ApiClient } from './api-client.ts';
import { Failure, printable } from './failure.ts';
import { span, table } from './table.ts';

/** What is read here; whatever else the API tells is passed on to those who ask for JSON. */
const listed = z.looseObject(
  cluster.pick({
    clusterId: true,
    clusterName: true,
    state: true,
    since: true,
    cluster: true,
    certificate: true,
  }).shape,
);
export type ListedCluster = z.infer<typeof listed>;

/** The tenant's clusters, by name. */
export async function listClusters(api: ApiClient): Promise<ListedCluster[]> {
  const clusters = await api.list(listed, '/v1/clusters');
  return clusters.sort((a, b) => (a.clusterName < b.clusterName ? -1 : 1));
}

/** `now`: epoch milliseconds. */
export const clusterTable = (clusters: readonly ListedCluster[], now: number): string =>
  clusters.length === 0
    ? 'There are no clusters yet.\n'
    : table(
        ['NAME', 'ID', 'STATE', 'SINCE', 'KUBERNETES', 'CALICO', 'NODES', 'CERTIFICATE'],
        clusters.map(({ clusterName, clusterId, state, since, cluster: facts, certificate }) => [
          clusterName,
          clusterId,
          state,
          span(now - Date.parse(since)),
          facts.kubernetesVersion,
          facts.calicoVersion,
          String(facts.nodeCount),
          `${certificate.daysLeft} days`,
        ]),
      );

/** The clusters that are named, by name or ID, each once. Throws a Failure that says which there are. */
export function chooseClusters(
  clusters: readonly ListedCluster[],
  wanted: readonly string[],
): ListedCluster[] {
  const chosen = wanted.map((name) => {
    const found =
      clusters.find(({ clusterId }) => clusterId === name) ??
      clusters.find(({ clusterName }) => clusterName === name);
    if (found) return found;
    const there = clusters.map(({ clusterName }) => clusterName).join(', ') || 'none';
    throw new Failure('failed', printable(`There is no cluster ${name}. There are: ${there}.`));
  });
  return [...new Set(chosen)];
}
