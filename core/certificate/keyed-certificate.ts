import 'reflect-metadata';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { type Extension, X509CertificateGenerator } from '@peculiar/x509';
import * as z from 'zod';
import { keyIdentifier } from './certificate-signer.ts';
import { newSerial } from './serial-number.ts';
import type { RandomBytes } from '../tenant/identifier.ts';

/** A certificate and its private key (PKCS #8), both PEM. */
export const keyedCertificate = z.object({ certificate: z.string(), key: z.string() });
export type KeyedCertificate = z.infer<typeof keyedCertificate>;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };

type Wanted = {
  /** Common name; at most 64 characters (X.520). */
  readonly commonName: string;
  /** Undefined: self-signed. */
  readonly issuer?: KeyedCertificate;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Made from the key identifiers of the certificate's own key and of its issuer's, hex. */
  readonly extensions: (identifiers: { own: string; issuer: string }) => readonly Extension[];
  readonly random: RandomBytes;
};

/** Makes a P-256 key and a certificate for it. */
export async function newCertificate(wanted: Wanted): Promise<KeyedCertificate> {
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const spki = new Uint8Array(await webcrypto.subtle.exportKey('spki', publicKey));
  const issuer = wanted.issuer && new X509Certificate(wanted.issuer.certificate);
  const own = keyIdentifier(spki);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(wanted.random),
    subject: `CN=${wanted.commonName}`,
    issuer: issuer ? issuer.subject : `CN=${wanted.commonName}`,
    notBefore: wanted.notBefore,
    notAfter: wanted.notAfter,
    publicKey,
    signingKey: wanted.issuer ? await signingKey(wanted.issuer.key) : privateKey,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      ...wanted.extensions({
        own,
        issuer: issuer ? keyIdentifier(issuer.publicKey.export({ format: 'der', type: 'spki' })) : own,
      }),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey));
  return {
    certificate: `${certificate.toString('pem')}\n`,
    key: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
      .export({ format: 'pem', type: 'pkcs8' })
      .toString(),
  };
}

const signingKey = (pem: string) =>
  webcrypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' }),
    algorithm,
    false,
    ['sign'],
  );
