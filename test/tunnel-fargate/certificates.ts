import 'reflect-metadata';
import { createHash, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A certificate and its key, both PEM, as node:tls takes them. */
export type TestPair = {
  readonly certificate: string;
  readonly key: string;
  /** Lower-case hex SHA-256 of the DER. */
  readonly fingerprint: string;
};

export type TestCa = TestPair & { issue(options: IssueOptions): Promise<TestPair> };

type IssueOptions = {
  readonly names?: readonly string[];
  /** URI SAN. */
  readonly uri?: string;
  readonly usage?: 'server' | 'client' | 'both';
  /** Epoch ms; default an hour ago. */
  readonly notBefore?: number;
  /** Epoch ms; default in a day. */
  readonly notAfter?: number;
};

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const hour = 3_600_000;

const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
const serial = () => `01${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}`;

async function pairOf(certificate: X509Certificate, privateKey: webcrypto.CryptoKey): Promise<TestPair> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey)).toString('base64');
  return {
    certificate: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${der.replace(/(.{64})/g, '$1\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
    fingerprint: createHash('sha256').update(Buffer.from(certificate.rawData)).digest('hex'),
  };
}

function extensionsOf({ names = [], uri, usage = 'both' }: IssueOptions) {
  const usages = [
    ...(usage === 'client' ? [] : [ExtendedKeyUsage.serverAuth]),
    ...(usage === 'server' ? [] : [ExtendedKeyUsage.clientAuth]),
  ];
  const alternatives = [
    ...names.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value })),
    ...(uri === undefined ? [] : [{ type: 'url' as const, value: uri }]),
  ];
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new ExtendedKeyUsageExtension(usages),
    ...(alternatives.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternatives)]),
  ];
}

/** A certificate authority with an ECDSA P-256 key, good for a day. */
export async function makeCa(name = 'Cattery test root'): Promise<TestCa> {
  const keys = await makeKeys();
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - hour),
    notAfter: new Date(Date.now() + 24 * hour),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new BasicConstraintsExtension(true, 0, true)],
  });
  return {
    ...(await pairOf(root, keys.privateKey)),
    async issue(options) {
      const leafKeys = await makeKeys();
      const leaf = await X509CertificateGenerator.create({
        serialNumber: serial(),
        subject: `CN=${options.names?.[0] ?? 'cattery test'}`,
        issuer: root.subject,
        notBefore: new Date(options.notBefore ?? Date.now() - hour),
        notAfter: new Date(options.notAfter ?? Date.now() + 24 * hour),
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: extensionsOf(options),
      });
      return pairOf(leaf, leafKeys.privateKey);
    },
  };
}

/** The name that clusters verify on the tunnel port (the hint), and the one that Goldmane verifies inside. */
export const hintName = 'tunnel.test.cattery.internal';
export const logEndpointName = 'tigera-linseed.tigera-elasticsearch.svc';
export const accessHost = '127.0.0.1';

/** All that a tunnel server presents, in the shape of the secret, issued by one root. */
export async function makeServerCertificates(ca: TestCa) {
  const [tunnel, logEndpoint, access, peer] = await Promise.all([
    ca.issue({ names: [hintName], usage: 'server' }),
    ca.issue({ names: [logEndpointName], usage: 'server' }),
    ca.issue({ names: [accessHost, 'localhost'], usage: 'server' }),
    ca.issue({ names: ['tunnel.peer.cattery.internal'] }),
  ]);
  return { tunnel, logEndpoint, access, peer, roots: ca.certificate };
}
