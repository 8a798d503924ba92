import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import path from 'node:path';
import * as x509 from '@peculiar/x509';
import * as z from 'zod';
import { newSerial } from '../../core/certificate/serial-number.ts';
import { readIfPresent, writePrivateFile } from '../aws/private-file.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

const kept = z.object({ certificate: z.string(), key: z.string() });

/** The laptop's own CA, for the API's port: what a public CA is in AWS. */
export type LocalAuthority = {
  /** PEM. */
  readonly certificate: string;
  /** A server certificate for these DNS names and IP addresses, good for 90 days, PEM. */
  issue(hosts: readonly string[]): Promise<{ certificate: string; key: string }>;
};

/** Made at the first start, kept in `directory` (key 0600), so that clients need to trust it once. */
export async function localAuthority(
  directory: string,
  now: () => number = Date.now,
): Promise<LocalAuthority> {
  const file = path.join(directory, 'authority.json');
  const known = await readIfPresent(file);
  const { certificate, key } =
    known === undefined ? await create(file, now()) : kept.parse(JSON.parse(known));
  const authority = new x509.X509Certificate(certificate);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pemBytes(key), algorithm, false, ['sign']);

  return {
    certificate,
    async issue(hosts) {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: newSerial(randomBytes),
        subject: 'CN=Cattery API on this laptop',
        issuer: authority.subject,
        notBefore: new Date(now() - dayMs),
        notAfter: new Date(now() + 90 * dayMs),
        signingAlgorithm: algorithm,
        publicKey: keys.publicKey,
        signingKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension(
            hosts.map((host) => ({ type: isIP(host) ? 'ip' : 'dns', value: host })),
          ),
          // Strict clients (Python 3.13) want to see whose key signed (RFC 5280 §4.2.1.1).
          await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
        ],
      });
      return { certificate: leaf.toString('pem'), key: await pemKey(keys.privateKey) };
    },
  };
}

async function create(file: string, now: number): Promise<z.infer<typeof kept>> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(randomBytes),
    name: 'CN=Cattery on this laptop',
    notBefore: new Date(now - dayMs),
    notAfter: new Date(now + 3650 * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const made = { certificate: certificate.toString('pem'), key: await pemKey(keys.privateKey) };
  await writePrivateFile(file, JSON.stringify(made));
  return made;
}

const pemBytes = (pem: string) => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');

async function pemKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}
