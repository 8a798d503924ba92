import type { X509Certificate } from 'node:crypto';
import { fingerprint as fingerprintOf } from '../../core/certificate/fingerprint.ts';
import type { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';

/** Whose tunnel it is. Tenant and cluster come from the certificate's entry in the directory and from nowhere else. */
export type Identity = {
  readonly tenantId: string;
  readonly clusterId: string;
  /** Lower-case hex SHA-256 of the certificate's DER. */
  readonly fingerprint: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
};

export type RefusalReason =
  | 'NO_CERTIFICATE'
  | 'CERTIFICATE_UNKNOWN'
  | 'CERTIFICATE_REVOKED'
  | 'CERTIFICATE_EXPIRED'
  | 'CERTIFICATE_NOT_YET_VALID'
  | 'DIRECTORY_UNAVAILABLE';

export type Verdict =
  | { readonly kind: 'accepted'; readonly identity: Identity }
  | {
      readonly kind: 'refused';
      readonly reason: RefusalReason;
      readonly fingerprint?: string;
      readonly cause?: unknown;
    };

type Dependencies = {
  readonly directory: Pick<CertificateDirectoryRepository, 'find'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

/**
 * Judges the certificate of a handshake (design.md 7): its fingerprint is looked up every time, its dates are checked.
 * A directory that does not answer refuses: a tunnel of a cluster that was disconnected must not come up because the
 * look-up failed. The handshake has proved that the peer holds the key. Units: 1 strongly consistent read.
 */
export async function identify(
  certificate: X509Certificate | undefined,
  { directory, now }: Dependencies,
): Promise<Verdict> {
  if (!certificate) return { kind: 'refused', reason: 'NO_CERTIFICATE' };
  const fingerprint = fingerprintOf(certificate.raw);
  const refused = (reason: RefusalReason, cause?: unknown): Verdict => ({
    kind: 'refused',
    reason,
    fingerprint,
    ...(cause === undefined ? {} : { cause }),
  });
  let entry;
  try {
    entry = await directory.find(fingerprint);
  } catch (error) {
    return refused('DIRECTORY_UNAVAILABLE', error);
  }
  if (!entry) return refused('CERTIFICATE_UNKNOWN');
  if (entry.revokedAt !== undefined) return refused('CERTIFICATE_REVOKED');
  const validity = validityOf(certificate);
  const notAfter = Math.min(validity.notAfter, entry.notAfter);
  const time = now();
  if (time > notAfter) return refused('CERTIFICATE_EXPIRED');
  if (time < validity.notBefore) return refused('CERTIFICATE_NOT_YET_VALID');
  return {
    kind: 'accepted',
    identity: { tenantId: entry.tenantId, clusterId: entry.clusterId, fingerprint, notAfter },
  };
}

/** Epoch milliseconds, both inclusive (RFC 5280 §4.1.2.5). */
export const validityOf = (certificate: X509Certificate) => ({
  notBefore: certificate.validFromDate.getTime(),
  notAfter: certificate.validToDate.getTime(),
});
