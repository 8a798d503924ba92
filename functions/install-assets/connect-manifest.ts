import { stringify } from 'yaml';
import type { Trust } from '../../core/certificate/trust-repository.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import { type GuardianAccess, guardianAccess, guardianAccessText } from './guardian-access.ts';

type Connection = {
  readonly cluster: Pick<ClusterRecord, 'clusterId' | 'clusterName' | 'certificate'>;
  readonly trust: Pick<Trust, 'trustBundle' | 'roots'>;
  /** host:port */
  readonly tunnelAddress: string;
  /** What Guardian is granted for users' requests beyond what its operator grants; undefined: nothing. */
  readonly access?: GuardianAccess | undefined;
};

const namespace = 'tigera-operator';
const tunnelSecret = 'tigera-managed-cluster-connection';
/** Renamed at operator v1.41; a released operator reads one of them, so both are brought (guardian.md §4.2). */
const logTrustSecrets = ['tigera-voltron-linseed-certs-public', 'calico-voltron-linseed-certs-public'];

/**
 * What connects a cluster, as YAML: the trust in our logs' endpoint, the tunnel's secret without its private key, and
 * the connection itself, which has only members that the CRDs of all releases on offer know.
 *
 * The key is added to the secret by its owner, in the cluster. Applying the manifest again leaves it there: of a
 * Secret's `data`, client-side apply removes only what the manifest applied last had and the new one has not, and
 * server-side apply only what its own field manager owned. For the same reason the values are in `data`: what is given
 * as `stringData` is owned as `stringData`, and is never removed again. The key is added by a merge patch, not by a
 * server-side apply: after a client-side one, kubectl (1.27 to 1.33) hands what that brought to the new field manager
 * and then removes it, as it is not in what that manager applies.
 */
export function connectManifest({ cluster, trust, tunnelAddress, access }: Connection): string {
  const objects = [
    ...logTrustSecrets.map((name) => secret(name, { 'tls.crt': trust.roots })),
    secret(tunnelSecret, {
      'management-cluster.crt': trust.trustBundle,
      'managed-cluster.crt': cluster.certificate,
    }),
    {
      apiVersion: 'operator.tigera.io/v1',
      kind: 'ManagementClusterConnection',
      // Every lookup uses this name, whatever else a CRD admits (guardian.md §5).
      metadata: { name: 'tigera-secure' },
      spec: { managementClusterAddr: tunnelAddress, tls: { ca: 'Tigera' } },
    },
  ];
  const text = (each: object) => stringify(each, { lineWidth: 0, aliasDuplicateObjects: false });
  const [first, ...others] = access ? guardianAccess(access) : [];
  return [
    introduction(cluster),
    ...objects.map(text),
    ...(access && first ? [guardianAccessText(access) + text(first), ...others.map(text)] : []),
  ].join('---\n');
}

const secret = (name: string, files: Readonly<Record<string, string>>) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  type: 'Opaque',
  data: Object.fromEntries(
    Object.entries(files).map(([file, text]) => [file, Buffer.from(text).toString('base64')]),
  ),
});

const introduction = ({ clusterName, clusterId }: Connection['cluster']): string => `\
# Connects the cluster ${clusterName} (${clusterId}). Apply it where the Tigera operator runs:
#
#   kubectl apply -f connect.yaml
#
# The private key is not here: it never leaves the cluster's owner. Add it from its file, afterwards:
#
#   kubectl create secret generic ${tunnelSecret} -n ${namespace} \\
#     --from-file=managed-cluster.key --dry-run=client -o json |
#     kubectl patch secret ${tunnelSecret} -n ${namespace} \\
#       --type=merge --patch-file=/dev/stdin
#
# Applying this manifest again keeps the key: kubectl apply touches only what it brought itself.
# (kubectl replace does not: it would remove the key.)
#
# A private registry, its pull secret and a proxy belong to the cluster's Installation object. They come as a patch of
# their own: GET /v1/install/installation-patch
`;
