import type { TunnelDirectoryRepository, TunnelEntry } from '../directory/tunnel-directory-repository.ts';
import type { ClusterRecord, IssuedCertificate } from './cluster-repository.ts';

const dayMs = 86_400_000;
/** From when on every answer about a cluster says when its certificate ends. */
const noticeMs = 60 * dayMs;

/** The certificate of the cluster's live tunnel, lower-case hex SHA-256; undefined while none is up. */
export const connectedWith = (tunnel: TunnelEntry | undefined): string | undefined =>
  tunnel?.state === 'connected' ? tunnel.fingerprint : undefined;

/**
 * The certificate that the cluster depends on: that of its live tunnel; while none is up, the newest. It is the one that
 * the connect manifest carries, so that applying it again does not part a key from its certificate, and the one whose
 * end is told: a renewed certificate that nobody connects with saves no tunnel.
 */
export function certificateInUse(
  cluster: Pick<ClusterRecord, 'certificate' | 'fingerprint' | 'notAfter' | 'renewal'>,
  tunnel: TunnelEntry | undefined,
): IssuedCertificate {
  const { renewal } = cluster;
  if (!renewal) return cluster;
  const live = tunnel?.state === 'connected';
  return live && tunnel.fingerprint !== renewal.fingerprint ? cluster : renewal;
}

/**
 * The same, of a cluster whose tunnel is not known yet: it is looked for only where there are two certificates.
 * `now`: epoch milliseconds. Units: none; during a renewal 0.5 reads for the tunnel, 0.5 for its task.
 */
export async function findCertificateInUse(
  tunnels: Pick<TunnelDirectoryRepository, 'locateAll'>,
  cluster: ClusterRecord,
  now: number,
): Promise<IssuedCertificate> {
  if (!cluster.renewal) return cluster;
  const { clusterId } = cluster;
  return certificateInUse(cluster, (await tunnels.locateAll([clusterId], now)).get(clusterId));
}

/** Whole days until then, at least 0; `0` is less than a day, or over. Both epoch milliseconds. */
export const daysUntil = (notAfter: number, now: number): number =>
  Math.max(0, Math.floor((notAfter - now) / dayMs));

/** The header that says when a certificate ends, RFC 3339; none as long as there are more than 60 days. `now`: epoch ms. */
export const expiryNotice = (
  { notAfter }: Pick<IssuedCertificate, 'notAfter'>,
  now: number,
): Readonly<Record<string, string>> =>
  notAfter - now > noticeMs ? {} : { 'Cattery-Certificate-Expires': new Date(notAfter).toISOString() };
