import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import { connectedWith } from '../../core/cluster/certificate-in-use.ts';
import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';

type Retiring = Pick<Dependencies, 'registered' | 'renewals' | 'certificates' | 'tunnels' | 'now' | 'logger'>;

/**
 * Retires the certificate that a renewal has replaced: it is revoked, and the renewed one is the cluster's own. Only
 * while the cluster's tunnel is up with the renewed one, as the directory knows it, so that no tunnel is cut. If it
 * stops half-way, asking again completes it; what is retired already is NOT_FOUND.
 * Throws NOT_FOUND, CERTIFICATE_IN_USE, CONFLICT.
 * Units: 3 reads and about 7 writes (2 to 3 the cluster, each of 2 times); 409: 1 or 3 reads; 404: 1 read.
 */
export async function retireCertificate(
  deps: Retiring,
  caller: Caller,
  clusterId: string,
  fingerprint: string,
): Promise<void> {
  onlyItsOwn(caller, clusterId);
  const { tenantId } = caller;
  const standing = await deps.registered.standing(tenantId, clusterId);
  if (standing.kind !== 'live') throw new Problem('NOT_FOUND');
  const { record: cluster } = standing;
  const begun = cluster.outdated?.has(fingerprint)
    ? cluster
    : await takeUp(deps, tenantId, cluster, fingerprint);
  await revokeOutdated(deps, tenantId, begun);
  deps.logger.info('cluster certificate retired', { tenantId, clusterId, fingerprint });
}

/** Makes the renewed certificate the cluster's own, if that one is to be retired and may be. */
async function takeUp(
  deps: Retiring,
  tenantId: string,
  cluster: ClusterRecord,
  fingerprint: string,
): Promise<ClusterRecord> {
  const { renewal } = cluster;
  if (renewal?.fingerprint === fingerprint) {
    throw new Problem('CERTIFICATE_IN_USE', 'It is the newest one of the cluster.');
  }
  if (cluster.fingerprint !== fingerprint) throw new Problem('NOT_FOUND');
  if (!renewal) throw new Problem('CERTIFICATE_IN_USE', 'It is the only one of the cluster.');
  if ((await liveFingerprint(deps, cluster.clusterId)) !== renewal.fingerprint) {
    throw new Problem(
      'CERTIFICATE_IN_USE',
      "The cluster's tunnel is not up with the renewed certificate yet.",
    );
  }
  const taken = await deps.renewals.takeUp(tenantId, cluster, renewal, { now: deps.now() });
  if (!taken) throw new Problem('CONFLICT', undefined, { headers: { 'Retry-After': '1' } });
  return taken;
}

/** The certificate of the tunnel that is up now, strongly consistent: an entry holds as long as its task's lease. */
async function liveFingerprint({ tunnels, now }: Retiring, clusterId: string): Promise<string | undefined> {
  const tunnel = await tunnels.locate(clusterId);
  const fingerprint = connectedWith(tunnel);
  if (!tunnel || fingerprint === undefined) return undefined;
  const lease = await tunnels.lease(tunnel.taskId);
  return lease && lease.validUntil >= now() ? fingerprint : undefined;
}

/** Revokes what is the cluster's no more: the directory first, then the note that it is to be done. Idempotent. */
export async function revokeOutdated(
  deps: Pick<Dependencies, 'certificates' | 'renewals' | 'now'>,
  tenantId: string,
  { clusterId, outdated = new Set() }: ClusterRecord,
): Promise<void> {
  if (outdated.size === 0) return;
  for (const fingerprint of outdated) await deps.certificates.revoke({ fingerprint, clusterId }, deps.now());
  await deps.renewals.forget(tenantId, clusterId, outdated);
}
