import { createHash, createPublicKey, verify } from 'node:crypto';
import { GetPublicKeyCommand, KMSClient, SignCommand } from '@aws-sdk/client-kms';
import { patience } from '../aws/patience.ts';
import { rawSignature } from '../certificate/raw-signature.ts';
import { bundleType } from './admission-bundle.ts';
import { type BundleKey, bundleKeyOf } from './bundle-key.ts';

/** Signs bundles with a key that never leaves its keeper. */
export type BundleSigner = {
  /** The key that signs now. Throws what its keeper threw. */
  readonly key: () => Promise<BundleKey>;
  /** A JWS in compact form (RFC 7515 §3.1), ES256, over these bytes. Throws what its keeper threw; never unsigned. */
  readonly sign: (payload: Uint8Array) => Promise<string>;
};

const algorithm = { name: 'ES256', kms: 'ECDSA_SHA_256' } as const;

/**
 * The signer behind a KMS key of spec ECC_NIST_P256. The public key is asked for once (a failure is not kept), and every
 * signature is checked with it: behind an alias another key may have begun to sign, which then is asked for.
 */
export function kmsBundleSigner(
  keyId: string,
  kms: KMSClient = new KMSClient({ requestHandler: patience.answers }),
): BundleSigner {
  let known: Promise<BundleKey> | undefined;
  const ask = async (): Promise<BundleKey> => {
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId: keyId }));
    if (!PublicKey) throw new Error('KMS answered without a public key');
    return bundleKeyOf(PublicKey);
  };
  const key = async (): Promise<BundleKey> => {
    const asked = (known ??= ask());
    try {
      return await asked;
    } catch (error) {
      if (known === asked) known = undefined;
      throw error;
    }
  };
  const attempt = async (payload: Uint8Array): Promise<string | undefined> => {
    const used = await key();
    const header = { alg: algorithm.name, typ: bundleType, kid: used.kid };
    const input = `${base64url(JSON.stringify(header))}.${base64url(payload)}`;
    // KMS takes 4 KB at most: it gets the digest.
    const { Signature } = await kms.send(
      new SignCommand({
        KeyId: keyId,
        Message: createHash('sha256').update(input).digest(),
        MessageType: 'DIGEST',
        SigningAlgorithm: algorithm.kms,
      }),
    );
    if (!Signature) throw new Error('KMS answered without a signature');
    const raw = new Uint8Array(rawSignature(Signature));
    const isOurs = verify(
      'sha256',
      Buffer.from(input),
      { key: createPublicKey({ key: used, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
      raw,
    );
    return isOurs ? `${input}.${base64url(raw)}` : undefined;
  };
  return {
    key,
    sign: async (payload) => {
      const signed = await attempt(payload);
      if (signed !== undefined) return signed;
      known = undefined;
      const again = await attempt(payload);
      if (again === undefined) throw new Error("KMS's signature does not fit the key that it shows");
      return again;
    },
  };
}

const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString('base64url');
