import { randomBytes } from 'node:crypto';
import { type CertificateSigner, kmsSigner } from '../../core/certificate/certificate-signer.ts';
import { TrustRepository } from '../../core/certificate/trust-repository.ts';
import type { RandomBytes } from '../../core/tenant/identifier.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import type { Environment } from './env.ts';
import { SecretRepository } from './secret-repository.ts';

/** What is said of a change: nothing secret. */
export type Change = {
  readonly what: string;
  readonly why: string;
  /** Lower-case hex SHA-256 of the certificate's DER. */
  readonly fingerprint: string;
  readonly notAfter: string;
};

/** Every effect that this function has outside itself, and what the certificates are for. */
export type Dependencies = {
  readonly rootsSecret: Pick<SecretRepository, 'read' | 'replace'>;
  readonly tunnelSecret: Pick<SecretRepository, 'read' | 'replace'>;
  readonly trust: Pick<TrustRepository, 'read' | 'write'>;
  /** The key that signs the clusters' certificates. */
  readonly clusterCa: CertificateSigner;
  readonly accessUrl: string;
  readonly trustDomain: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly random: RandomBytes;
  readonly report: (change: Change) => void;
};

export function dependencies(env: Environment, report: Dependencies['report']): Dependencies {
  return {
    rootsSecret: new SecretRepository(env.ROOTS_SECRET_ID),
    tunnelSecret: new SecretRepository(env.TUNNEL_SECRET_ID),
    trust: new TrustRepository(documentClient(), env.DIRECTORY_TABLE),
    clusterCa: kmsSigner(env.CA_KEY_ID),
    accessUrl: env.ACCESS_URL,
    trustDomain: env.TRUST_DOMAIN,
    now: Date.now,
    random: randomBytes,
    report,
  };
}
