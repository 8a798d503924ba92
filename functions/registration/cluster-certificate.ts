import 'reflect-metadata';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509';
import {
  type CertificateSigner,
  clusterCaName,
  keyIdentifier,
  signCertificate,
} from '../../core/certificate/certificate-signer.ts';
import { fingerprint } from '../../core/certificate/fingerprint.ts';

/** Validity of a cluster's certificate, until renewal is automatic (design.md 6). */
export const validityDays = 398;
const backdatedMs = 5 * 60_000;

/** When a certificate made at `now` begins, epoch milliseconds, whole seconds as X.509 has them: clocks may differ by 5 minutes. */
export const beginningOf = (now: number): number => Math.floor((now - backdatedMs) / 1000) * 1000;

/** A certificate's end, epoch milliseconds, from its beginning. */
export const endOf = (notBefore: number): number => notBefore + validityDays * 86_400_000;

type Subject = {
  readonly tenantId: string;
  readonly clusterId: string;
  readonly trustDomain: string;
  /** SubjectPublicKeyInfo of the cluster's own key, DER. */
  readonly spki: Uint8Array;
  /** Lower-case hex. */
  readonly serial: string;
  /** Epoch milliseconds. */
  readonly notBefore: number;
};

/** A cluster's certificate as design.md 6 wants it, PEM; nothing in it comes from the request but the key. */
export async function makeClusterCertificate(signer: CertificateSigner, subject: Subject): Promise<string> {
  const { tenantId, clusterId, trustDomain, notBefore } = subject;
  const certificate = await signCertificate(signer, {
    serialNumber: subject.serial,
    subject: `CN=${clusterId}`,
    issuer: clusterCaName,
    notBefore: new Date(notBefore),
    notAfter: new Date(endOf(notBefore)),
    publicKey: subject.spki,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([
        { type: 'url', value: `spiffe://${trustDomain}/tenant/${tenantId}/cluster/${clusterId}` },
      ]),
      new AuthorityKeyIdentifierExtension(keyIdentifier(await signer.publicKey())),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** Lower-case hex SHA-256 of a PEM certificate's DER. */
export function fingerprintOfPem(pem: string): string {
  const base64 = pem.replace(/-----(?:BEGIN|END) CERTIFICATE-----/g, '');
  return fingerprint(Buffer.from(base64, 'base64'));
}
