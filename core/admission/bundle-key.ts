import { createHash, createPublicKey } from 'node:crypto';
import * as z from 'zod';

const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** The public key that bundles are verified with: a JWK (RFC 7517) for ES256, named by its thumbprint (RFC 7638). */
export const bundleKey = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: coordinate,
  y: coordinate,
  kid: coordinate,
  use: z.literal('sig'),
  alg: z.literal('ES256'),
});
export type BundleKey = z.infer<typeof bundleKey>;

export const bundleKeySet = z.object({ keys: z.array(bundleKey) }).meta({ id: 'BundleKeys' });
export type BundleKeySet = z.infer<typeof bundleKeySet>;

/** From a P-256 SubjectPublicKeyInfo, DER. */
export function bundleKeyOf(spki: Uint8Array): BundleKey {
  const { x = '', y = '' } = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }).export({
    format: 'jwk',
  });
  const canonical = JSON.stringify({ crv: 'P-256', kty: 'EC', x, y });
  const kid = createHash('sha256').update(canonical).digest('base64url');
  return bundleKey.parse({ kty: 'EC', crv: 'P-256', x, y, kid, use: 'sig', alg: 'ES256' });
}
