import * as z from 'zod';
import type { ApiClient } from '../api-client.ts';
import type { ListedCluster } from '../clusters.ts';
import { checkedUrl, type Deployment } from '../deployment.ts';
import { Failure } from '../failure.ts';
import type { Surroundings } from '../surroundings.ts';

type Named<Key extends string, Value> = { readonly name: string } & Readonly<Record<Key, Value>>;

/** What a kubeconfig gets for some clusters: one user for all, who asks `cattery token`. */
export type Entries = {
  readonly clusters: readonly Named<'cluster', Record<string, string>>[];
  readonly contexts: readonly Named<'context', { cluster: string; user: string }>[];
  readonly users: readonly Named<'user', object>[];
};

/** What we need of the kubeconfig that the API gives: its address and CA, and nothing that could be run. */
const offered = z.object({
  clusters: z.tuple([
    z.object({
      cluster: z.object({
        server: z.string(),
        'certificate-authority-data': z.base64().optional(),
      }),
    }),
  ]),
});

/** Contexts are named after their cluster. */
export const contextOf = ({ clusterName }: Pick<ListedCluster, 'clusterName'>): string =>
  `cattery/${clusterName}`;

export async function entriesFor(
  surroundings: Surroundings,
  { apiUrl }: Deployment,
  api: ApiClient,
  clusters: readonly ListedCluster[],
): Promise<Entries> {
  const user = `cattery@${new URL(apiUrl).host}`;
  return {
    clusters: await Promise.all(clusters.map((each) => clusterEntry(api, each))),
    contexts: clusters.map((each) => ({
      name: contextOf(each),
      context: { cluster: each.clusterId, user },
    })),
    users: [{ name: user, user: { exec: plugin(surroundings, apiUrl) } }],
  };
}

async function clusterEntry(
  api: ApiClient,
  { clusterId }: ListedCluster,
): Promise<Entries['clusters'][number]> {
  const { parse } = await import('yaml');
  const text = await api.text(`/v1/clusters/${clusterId}/kubeconfig`);
  const read = offered.safeParse(parse(text));
  if (!read.success)
    throw new Failure('failed', `The API's kubeconfig of ${clusterId} cannot be read.`, read.error);
  const { server, 'certificate-authority-data': authority } = read.data.clusters[0].cluster;
  const trust = authority === undefined ? {} : { 'certificate-authority-data': authority };
  return { name: clusterId, cluster: { server: checkedUrl(server, 'the access host'), ...trust } };
}

/**
 * The exec plugin. It names its API, so that after a sign-in elsewhere no token of there is shown to a cluster of here;
 * and where the sign-in is kept when that is no place of its own finding.
 */
const plugin = ({ self, env }: Surroundings, apiUrl: string): object => ({
  apiVersion: 'client.authentication.k8s.io/v1',
  command: self.command,
  args: [...self.args, 'token', '--api-url', apiUrl],
  env: ['CATTERY_CONFIG_DIR', 'XDG_CONFIG_HOME'].flatMap((name) =>
    env[name] ? [{ name, value: env[name] }] : [],
  ),
  installHint:
    'This kubeconfig takes its tokens from cattery, which is not on the PATH: see docs/cli.md of Cattery.',
  interactiveMode: 'IfAvailable',
  provideClusterInfo: false,
});
