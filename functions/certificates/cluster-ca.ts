import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
} from '@peculiar/x509';
import {
  type CertificateSigner,
  clusterCaName,
  keyIdentifier,
  signCertificate,
} from '../../core/certificate/certificate-signer.ts';
import { newSerial } from '../../core/certificate/serial-number.ts';
import type { Moment } from './roots.ts';

const year = 365.25 * 86_400_000;
const validity = 10 * year;
const renewal = 2 * year;

/** Why the certificate of the clusters' CA must be made anew; undefined when it may stay. */
export async function whyClusterCaDue(
  signer: CertificateSigner,
  existing: string | undefined,
  now: number,
): Promise<string | undefined> {
  if (!existing) return 'there is none';
  const certificate = new X509Certificate(existing);
  const key = certificate.publicKey.export({ format: 'der', type: 'spki' });
  if (!key.equals(await signer.publicKey())) return 'the key is another';
  return certificate.validToDate.getTime() - now < renewal ? 'its end is near' : undefined;
}

/** The certificate of the key that signs the clusters' certificates: self-signed, for who wants to verify them; PEM. */
export async function newClusterCa(signer: CertificateSigner, { now, random }: Moment): Promise<string> {
  const publicKey = await signer.publicKey();
  const certificate = await signCertificate(signer, {
    serialNumber: newSerial(random),
    subject: clusterCaName,
    issuer: clusterCaName,
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(now + validity),
    publicKey,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension(keyIdentifier(publicKey)),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}
