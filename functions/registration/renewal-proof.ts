import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { compactVerify, errors } from 'jose';
import * as z from 'zod';
import type { IssuedCertificate } from '../../core/cluster/cluster-repository.ts';

/** How far the clock of who made a proof may be off ours, seconds, either way. */
const toleranceSeconds = 300;

const payload = z.object({
  sub: z.string(),
  /** Epoch seconds. */
  iat: z.int(),
  /** Lower-case hex SHA-256 of the certificate request's text, exactly as it was sent. */
  csr_sha256: z.string(),
});

/** What is to be proven: that this request is made by who holds the key of a certificate of this cluster. */
export type ProofClaim = {
  /** Compact JWS (RFC 7515 §7.1). */
  readonly proof: string;
  /** The certificate request, PEM, as it was sent. */
  readonly csr: string;
  readonly clusterId: string;
  /** The cluster's valid certificates. */
  readonly certificates: readonly IssuedCertificate[];
  /** Epoch milliseconds. */
  readonly now: number;
};

export type ProofVerdict =
  | { readonly kind: 'good' }
  /** Made at another time; epoch seconds. */
  | { readonly kind: 'stale'; readonly madeAt: number }
  /** `reason` says what is wrong with it, and nothing of what is in it. */
  | { readonly kind: 'wrong'; readonly reason: string };

/**
 * Judges a proof of possession. The certificate decides which algorithm counts, never the proof's own header: ES256 for
 * P-256, ES384 for P-384, RS256 for RSA (RFC 7518 §3.1). What it is made for stands in it, so that it serves for nothing
 * else: the cluster, the time, and the request by its hash.
 */
export async function judgeProof(claim: ProofClaim): Promise<ProofVerdict> {
  const { clusterId, csr, now } = claim;
  const signed = await signedPayload(claim);
  if (!signed) return wrong('It is not signed by the key of a valid certificate of the cluster.');
  const stated = payload.safeParse(readJson(signed));
  if (!stated.success) return wrong('Its payload is not {"sub", "iat", "csr_sha256"}.');
  const { sub, iat, csr_sha256: csrHash } = stated.data;
  if (sub !== clusterId) return wrong('It is made for another cluster.');
  if (csrHash !== createHash('sha256').update(csr).digest('hex')) {
    return wrong('It is made for another certificate request.');
  }
  return Math.abs(now / 1000 - iat) > toleranceSeconds ? { kind: 'stale', madeAt: iat } : { kind: 'good' };
}

/** The payload, when one of the certificates' keys has signed it. */
async function signedPayload({ proof, certificates }: ProofClaim): Promise<Uint8Array | undefined> {
  for (const { certificate } of certificates) {
    const key = createPublicKey(certificate);
    try {
      return (await compactVerify(proof, key, { algorithms: [algorithmOf(key)] })).payload;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
    }
  }
  return undefined;
}

/** Of the kinds of key that a certificate request may have (certificate-request.ts). */
function algorithmOf(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  return key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'ES384' : 'ES256';
}

function readJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

const wrong = (reason: string): ProofVerdict => ({ kind: 'wrong', reason });
