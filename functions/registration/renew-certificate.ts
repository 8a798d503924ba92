import { createHash, createPublicKey } from 'node:crypto';
import { newSerial } from '../../core/certificate/serial-number.ts';
import type { ClusterRecord, Renewal } from '../../core/cluster/cluster-repository.ts';
import type { CertificateRenewal, CertificateRenewed } from '../../core/cluster/cluster-schema.ts';
import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import { readCertificateRequest, type RequestedKey } from './certificate-request.ts';
import { beginningOf, endOf, fingerprintOfPem, makeClusterCertificate } from './cluster-certificate.ts';
import { isoTime } from './cluster-view.ts';
import type { Dependencies } from './deps.ts';
import { afterTheHour, oneMore } from './hour-count.ts';
import { judgeProof } from './renewal-proof.ts';
import { revokeOutdated } from './retire-certificate.ts';

/**
 * New keys of a cluster. Each one's certificate costs a signature, and what it replaces is one more revocation that every
 * task of the tunnel server reads.
 */
export const renewalsPerHour = 20;

/**
 * Gives a cluster a certificate for a new key, beside the one that it has; both are good until the old one is retired
 * or ends (docs/certificates.md). The request proves that it comes from who holds the key of a valid certificate: the
 * cluster's token alone is not enough. A renewal that a tunnel has come with takes the former certificate's place when
 * the next is asked for; one that none has come with is replaced. What goes is revoked.
 * Ordered conditional writes: the certificate is put into the cluster's item, what it takes away is revoked, and it is
 * published. Whatever stops it, the same key completes it and gets the same certificate again.
 * Throws NOT_FOUND, PROOF_INVALID, PROOF_STALE, CERTIFICATE_EXPIRED, CSR_MALFORMED, CSR_SIGNATURE_INVALID,
 * CSR_KEY_WEAK, CSR_KEY_REUSED, LIMIT_REACHED, CONFLICT.
 * Units: 1 read and 4 writes (3 of them the cluster) for the first renewal; 2 reads and about 9 writes when another one
 * is replaced or taken up; the same key again 1 read and 1 write; refused 1 read.
 */
export async function renewCertificate(
  deps: Dependencies,
  caller: Caller,
  clusterId: string,
  request: CertificateRenewal,
): Promise<CertificateRenewed> {
  onlyItsOwn(caller, clusterId);
  const { tenantId } = caller;
  const cluster = await liveCluster(deps, tenantId, clusterId);
  await admit(deps, tenantId, cluster, request);
  const key = await readCertificateRequest(request.csr);
  const { renewal, of } = findRenewal(cluster, key) ?? (await issue(deps, tenantId, cluster, key));
  await revokeOutdated(deps, tenantId, of);
  const { certificate, fingerprint, notAfter } = renewal;
  await deps.certificates.publish({ fingerprint, tenantId, clusterId, notAfter });
  deps.logger.info('cluster certificate renewed', { tenantId, clusterId, fingerprint });
  return { certificate, fingerprint, notAfter: isoTime(notAfter) };
}

async function liveCluster(deps: Dependencies, tenantId: string, clusterId: string): Promise<ClusterRecord> {
  const standing = await deps.registered.standing(tenantId, clusterId);
  if (standing.kind !== 'live') throw new Problem('NOT_FOUND');
  return standing.record;
}

/** Throws CERTIFICATE_EXPIRED, PROOF_STALE, PROOF_INVALID; the last is a security event. */
async function admit(
  { now, logger }: Pick<Dependencies, 'now' | 'logger'>,
  tenantId: string,
  cluster: ClusterRecord,
  { csr, proof }: CertificateRenewal,
): Promise<void> {
  const { clusterId, renewal } = cluster;
  const time = now();
  const certificates = [cluster, ...(renewal ? [renewal] : [])].filter(({ notAfter }) => notAfter >= time);
  if (certificates.length === 0) {
    const remedy = 'Nothing can prove whose it is any more: disconnect the cluster, and register it anew.';
    throw new Problem('CERTIFICATE_EXPIRED', remedy);
  }
  const verdict = await judgeProof({ proof, csr, clusterId, certificates, now: time });
  if (verdict.kind === 'good') return;
  if (verdict.kind === 'stale') {
    const [made, here] = [verdict.madeAt, Math.floor(time / 1000)];
    throw new Problem(
      'PROOF_STALE',
      `It was made at ${made} by its clock; here it is ${here}. Set the clock.`,
    );
  }
  logger.warn('A renewal came with a proof that is not good', {
    securityEvent: 'RENEWAL_PROOF_INVALID',
    tenantId,
    clusterId,
    reason: verdict.reason,
  });
  throw new Problem('PROOF_INVALID', verdict.reason);
}

type Issued = {
  readonly renewal: Renewal;
  /** The cluster that has it. */
  readonly of: ClusterRecord;
};

/** The renewal of this key, if that is the one under way. */
const findRenewal = (cluster: ClusterRecord, { keyHash }: RequestedKey): Issued | undefined =>
  cluster.renewal?.keyHash === keyHash ? { renewal: cluster.renewal, of: cluster } : undefined;

/** Signs a certificate and puts it into the cluster's item. Throws CSR_KEY_REUSED, LIMIT_REACHED, NOT_FOUND, CONFLICT. */
async function issue(
  deps: Dependencies,
  tenantId: string,
  cluster: ClusterRecord,
  key: RequestedKey,
): Promise<Issued> {
  if (keyHashOf(cluster.certificate) === key.keyHash) throw new Problem('CSR_KEY_REUSED');
  const { clusterId, renewal: former } = cluster;
  const now = deps.now();
  const renewals = oneMore(cluster.renewals, now);
  if (renewals.begun > renewalsPerHour) {
    throw new Problem('LIMIT_REACHED', `A cluster has at most ${renewalsPerHour} new keys within an hour.`, {
      headers: afterTheHour(renewals, now),
    });
  }
  const notBefore = beginningOf(now);
  const certificate = await makeClusterCertificate(deps.signer, {
    tenantId,
    clusterId,
    trustDomain: deps.trustDomain,
    spki: key.spki,
    serial: newSerial(deps.random),
    notBefore,
  });
  const fingerprint = fingerprintOfPem(certificate);
  const renewal = { certificate, fingerprint, notAfter: endOf(notBefore), keyHash: key.keyHash };
  // The certificate that the last tunnel came with, up or not, is the one that the cluster holds.
  const last = former && (await deps.tunnels.locate(clusterId));
  const changed =
    former && last?.fingerprint === former.fingerprint
      ? await deps.renewals.takeUp(tenantId, cluster, former, { next: { renewal, renewals }, now })
      : await deps.renewals.renew(tenantId, cluster, { renewal, renewals });
  if (changed) return { renewal, of: changed };
  // Another attempt was faster: with the same key, its certificate is the answer.
  const theirs = findRenewal(await liveCluster(deps, tenantId, clusterId), key);
  if (theirs) return theirs;
  throw new Problem('CONFLICT', 'Another renewal of this cluster is under way: try again.', {
    headers: { 'Retry-After': '1' },
  });
}

/** Lower-case hex SHA-256 of the SPKI of a certificate's key. */
const keyHashOf = (certificate: string): string =>
  createHash('sha256')
    .update(createPublicKey(certificate).export({ format: 'der', type: 'spki' }))
    .digest('hex');
