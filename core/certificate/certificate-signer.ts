import 'reflect-metadata';
import { createHash, createPublicKey } from 'node:crypto';
import { GetPublicKeyCommand, KMSClient, SignCommand } from '@aws-sdk/client-kms';
import { X509Certificate, type X509CertificateCreateParams, X509CertificateGenerator } from '@peculiar/x509';
import { rawSignature } from './raw-signature.ts';

/** An ECDSA P-256 key that signs certificates and never leaves its keeper. */
export type CertificateSigner = {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: () => Promise<Uint8Array>;
  /** ECDSA signature over the SHA-256 of the message (at most 4,096 bytes), DER (RFC 3279 §2.2.3). */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
};

/** Common name of who signs the clusters' certificates: the subject of the CA's certificate, the issuer of the leaves. */
export const clusterCaName = 'CN=Cattery cluster CA';

/** The signer behind a KMS key of spec ECC_NIST_P256. Its public key is asked for once; a failure is not kept. */
export function kmsSigner(keyId: string, kms: KMSClient = new KMSClient()): CertificateSigner {
  let known: Promise<Uint8Array> | undefined;
  const ask = async (): Promise<Uint8Array> => {
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId: keyId }));
    if (!PublicKey) throw new Error('KMS answered without a public key');
    return PublicKey;
  };
  return {
    publicKey: async () => {
      known ??= ask();
      try {
        return await known;
      } catch (error) {
        known = undefined;
        throw error;
      }
    },
    sign: async (message) => {
      const { Signature } = await kms.send(
        new SignCommand({
          KeyId: keyId,
          Message: message,
          MessageType: 'RAW',
          SigningAlgorithm: 'ECDSA_SHA_256',
        }),
      );
      if (!Signature) throw new Error('KMS answered without a signature');
      return Signature;
    },
  };
}

type Unsigned = Pick<
  X509CertificateCreateParams,
  'serialNumber' | 'subject' | 'issuer' | 'notBefore' | 'notAfter' | 'extensions'
> & {
  /** SubjectPublicKeyInfo, DER, of the certificate's own key. */
  readonly publicKey: Uint8Array;
};

/** Signs an X.509 v3 certificate with ecdsa-with-SHA256. */
export async function signCertificate(
  signer: CertificateSigner,
  unsigned: Unsigned,
): Promise<X509Certificate> {
  // The generator signs through WebCrypto with a key that it holds. Ours is elsewhere: `sign` is all that it calls.
  const subtle = {
    sign: async (_algorithm: unknown, _key: unknown, message: ArrayBuffer): Promise<ArrayBuffer> =>
      rawSignature(await signer.sign(new Uint8Array(message))),
  };
  return X509CertificateGenerator.create(
    {
      ...unsigned,
      publicKey: unsigned.publicKey as Uint8Array<ArrayBuffer>,
      signingKey: { algorithm: { name: 'ECDSA', namedCurve: 'P-256' } },
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    },
    { subtle },
  );
}

/** Key identifier as RFC 5280 §4.2.1.2 method 1 makes it: hex SHA-1 of the key's bits. The input is an SPKI, DER. */
export function keyIdentifier(spki: Uint8Array): string {
  const { x = '', y = '' } = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }).export({
    format: 'jwk',
  });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return createHash('sha1').update(point).digest('hex');
}
