import { createHash, sign } from 'node:crypto';
import type { Pair } from './certificate-requests.ts';

const base64url = (text: string): string => Buffer.from(text).toString('base64url');

type ProofOptions = {
  readonly header?: Record<string, unknown>;
  readonly payload?: Record<string, unknown>;
};

/** A proof as a shell would make it: no library. `now`: epoch ms. */
export function makeProof(
  pair: Pair,
  { clusterId, csr, now }: { clusterId: string; csr: string; now: number },
  { header = {}, payload = {} }: ProofOptions = {},
): string {
  const { asymmetricKeyType, asymmetricKeyDetails } = pair.privateKey;
  const p384 = asymmetricKeyDetails?.namedCurve === 'secp384r1';
  const alg = asymmetricKeyType === 'rsa' ? 'RS256' : p384 ? 'ES384' : 'ES256';
  const stated = {
    sub: clusterId,
    iat: Math.floor(now / 1000),
    csr_sha256: createHash('sha256').update(csr).digest('hex'),
    ...payload,
  };
  const text = `${base64url(JSON.stringify({ alg, ...header }))}.${base64url(JSON.stringify(stated))}`;
  const signature = sign(p384 ? 'sha384' : 'sha256', Buffer.from(text), {
    key: pair.privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${text}.${signature.toString('base64url')}`;
}
