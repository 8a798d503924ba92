import { certificateInUse, connectedWith, daysUntil } from '../../core/cluster/certificate-in-use.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { ClusterView } from '../../core/cluster/cluster-schema.ts';
import type { TunnelEntry } from '../../core/directory/tunnel-directory-repository.ts';

/** A cluster as the API shows it; `tunnel` is undefined for one that has never been connected. `now`: epoch ms. */
export const clusterView = (
  record: ClusterRecord,
  tunnel: TunnelEntry | undefined,
  now: number,
): ClusterView => ({
  clusterId: record.clusterId,
  clusterName: record.clusterName,
  state: tunnel?.state ?? 'pending',
  since: isoTime(tunnel?.since ?? record.registeredAt),
  registeredAt: isoTime(record.registeredAt),
  cluster: record.facts,
  impersonation: record.impersonation ?? false,
  certificate: certificateView(record, tunnel, now),
});

function certificateView(
  record: ClusterRecord,
  tunnel: TunnelEntry | undefined,
  now: number,
): ClusterView['certificate'] {
  const { fingerprint, notAfter } = certificateInUse(record, tunnel);
  const connected = connectedWith(tunnel);
  return {
    fingerprint,
    notAfter: isoTime(notAfter),
    daysLeft: daysUntil(notAfter, now),
    ...(connected === undefined ? {} : { connected }),
  };
}

/** RFC 3339 UTC. */
export const isoTime = (epochMs: number): string => new Date(epochMs).toISOString();
