import { stringify } from 'yaml';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';

type Access = {
  readonly cluster: Pick<ClusterRecord, 'clusterId' | 'clusterName'>;
  readonly accessUrl: string;
  /** What verifies the access host, PEM; undefined: the system's roots. */
  readonly roots: string | undefined;
  /** A bearer token to be written into the file; undefined: kubectl takes it from CATTERY_TOKEN at each call. */
  readonly token: string | undefined;
};

/**
 * A kubeconfig for the access host, YAML. Cluster and user are named by the cluster's ID, so that the files of several
 * clusters and tenants merge; the context bears the cluster's name.
 */
export function kubeconfig({ cluster: { clusterId, clusterName }, accessUrl, roots, token }: Access): string {
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: clusterId,
          cluster: {
            server: `${accessUrl.replace(/\/+$/, '')}/clusters/${clusterId}`,
            ...(roots ? { 'certificate-authority-data': Buffer.from(roots).toString('base64') } : {}),
          },
        },
      ],
      users: [{ name: `user@${clusterId}`, user: token ? { token } : { exec: tokenFromEnvironment } }],
      contexts: [{ name: clusterName, context: { cluster: clusterId, user: `user@${clusterId}` } }],
      'current-context': clusterName,
    },
    { lineWidth: 0 },
  );
}

/** Prints an ExecCredential of the variable CATTERY_TOKEN; no program of ours is needed, and no token is in the file. */
const tokenFromEnvironment = {
  apiVersion: 'client.authentication.k8s.io/v1',
  command: 'sh',
  args: [
    '-c',
    [
      'if [ -z "$CATTERY_TOKEN" ]; then echo "Set CATTERY_TOKEN to your API key or ID token: export CATTERY_TOKEN=…" >&2; exit 1; fi',
      `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$CATTERY_TOKEN"`,
    ].join('\n'),
  ],
  interactiveMode: 'Never',
  installHint:
    'This kubeconfig reads the environment variable CATTERY_TOKEN (an API key or an ID token) by means of a POSIX shell, sh.',
};
