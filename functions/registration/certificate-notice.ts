import { expiryNotice, findCertificateInUse } from '../../core/cluster/certificate-in-use.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Dependencies } from './deps.ts';

/**
 * The header that says when the cluster's certificate ends, from 60 days before. Units: none; during a renewal within
 * those days 0.5 reads for the tunnel, 0.5 for its task.
 */
export async function certificateNotice(
  { tunnels, now }: Pick<Dependencies, 'tunnels' | 'now'>,
  cluster: ClusterRecord,
): Promise<Readonly<Record<string, string>>> {
  const notice = expiryNotice(cluster, now());
  // A renewed certificate ends later than the one that it replaces.
  if (Object.keys(notice).length === 0) return notice;
  return expiryNotice(await findCertificateInUse(tunnels, cluster, now()), now());
}
