import type { X509Certificate } from 'node:crypto';
import { within } from '../../core/aws/patience.ts';
import { fingerprint as fingerprintOf } from '../../core/certificate/fingerprint.ts';
import type { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';
import type { AcceptedCertificates } from './accepted-certificates.ts';

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
  | 'DIRECTORY_UNAVAILABLE'
  | 'TENANT_LIMIT'; // its tenant has as many tunnels as it may

export type Verdict =
  /** stale: from memory, because the directory does not answer. */
  | { readonly kind: 'accepted'; readonly identity: Identity; readonly stale: boolean }
  | {
      readonly kind: 'refused';
      readonly reason: RefusalReason;
      readonly fingerprint?: string;
      readonly cause?: unknown;
    };

/** Judges the certificate that a handshake brought. Never rejects. */
export type Identify = (certificate: X509Certificate | undefined) => Promise<Verdict>;

type Dependencies = {
  readonly directory: Pick<CertificateDirectoryRepository, 'find'>;
  /** For the time in which the directory does not answer. */
  readonly accepted: Pick<AcceptedCertificates, 'remember' | 'forget' | 'recall'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** How long the directory may take, ms: longer is no answer. */
  readonly lookupTimeoutMs?: number;
};

/**
 * Judges by fingerprint and dates (design.md 7): the fingerprint is looked up every time, resumed or not. While the
 * directory does not answer, only what it accepted a short while ago comes in ({@link AcceptedCertificates}); all others
 * are refused, for a tunnel of a cluster that was disconnected must not come up because the look-up failed.
 * The handshake has proved that the peer holds the key. Units: 1 strongly consistent read.
 */
export const identification =
  ({ directory, accepted, now, lookupTimeoutMs = 5_000 }: Dependencies): Identify =>
  async (certificate) => {
    if (!certificate) return { kind: 'refused', reason: 'NO_CERTIFICATE' };
    const fingerprint = fingerprintOf(certificate.raw);
    const validity = validityOf(certificate);
    const refused = (reason: RefusalReason, cause?: unknown): Verdict => ({
      kind: 'refused',
      reason,
      fingerprint,
      ...(cause === undefined ? {} : { cause }),
    });
    /** Refuses what its dates forbid. */
    const judged = (identity: Identity, stale: boolean): Verdict => {
      const time = now();
      if (time > identity.notAfter) return refused('CERTIFICATE_EXPIRED');
      if (time < validity.notBefore) return refused('CERTIFICATE_NOT_YET_VALID');
      return { kind: 'accepted', identity, stale };
    };
    const askedAt = now();
    let entry;
    try {
      entry = await within(lookupTimeoutMs, directory.find(fingerprint));
    } catch (error) {
      const known = accepted.recall(fingerprint);
      return known ? judged(known, true) : refused('DIRECTORY_UNAVAILABLE', error);
    }
    if (!entry || entry.revokedAt !== undefined) {
      accepted.forget(fingerprint);
      return refused(entry ? 'CERTIFICATE_REVOKED' : 'CERTIFICATE_UNKNOWN');
    }
    const { tenantId, clusterId } = entry;
    const notAfter = Math.min(validity.notAfter, entry.notAfter);
    const verdict = judged({ tenantId, clusterId, fingerprint, notAfter }, false);
    if (verdict.kind === 'accepted') accepted.remember(verdict.identity, askedAt);
    return verdict;
  };

/** Epoch milliseconds, both inclusive (RFC 5280 §4.1.2.5). */
export const validityOf = (certificate: X509Certificate) => ({
  notBefore: certificate.validFromDate.getTime(),
  notAfter: certificate.validToDate.getTime(),
});
