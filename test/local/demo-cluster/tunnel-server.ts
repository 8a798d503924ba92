import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { createServer } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { makeKeyPair, privateKeyPem } from '../../../local/demo-cluster/kube-api-certificate.ts';
import { YamuxSession } from '../../../tunnel-fargate/yamux/session.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
export const tunnelName = 'tunnel.cattery.test';

export type Identity = { key: string; certificate: string };

/** A CA that signs for any DNS names; all PEM. */
export class TestCa {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly pem: string;

  private constructor(keys: webcrypto.CryptoKeyPair, pem: string) {
    this.#keys = keys;
    this.pem = pem;
  }

  static async make(name: string): Promise<TestCa> {
    const keys = await makeKeyPair();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3600_000),
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestCa(keys, certificate.toString('pem'));
  }

  async sign(publicKey: webcrypto.CryptoKey, dnsNames: string[]): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      subject: 'CN=test',
      issuer: new x509.X509Certificate(this.pem).subject,
      publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3600_000),
      extensions: dnsNames.length
        ? [new x509.SubjectAlternativeNameExtension(dnsNames.map((value) => ({ type: 'dns', value })))]
        : [],
    });
    return certificate.toString('pem');
  }

  async issue(dnsNames: string[]): Promise<Identity> {
    const keys = await makeKeyPair();
    return {
      key: await privateKeyPem(keys.privateKey),
      certificate: await this.sign(keys.publicKey, dnsNames),
    };
  }
}

/** The throw-away certificate with one name that comes first in a trust bundle. */
export async function hintCertificate(dnsNames: string[]): Promise<string> {
  const ca = await TestCa.make('hint');
  return (await ca.issue(dnsNames)).certificate;
}

export type TunnelServer = {
  address: string;
  port: number;
  /** Every accepted session with its socket, in order. */
  accepted: { session: YamuxSession; socket: TLSSocket; at: number }[];
  /** The next session, or the one after `count` others. */
  session: (count?: number) => Promise<{ session: YamuxSession; socket: TLSSocket; at: number }>;
  close: () => Promise<void>;
};

/** TLS (client certificate asked for) and yamux in the server's role, as the control plane's tunnel port has it. */
export async function startTunnelServer(identity: Identity, port = 0): Promise<TunnelServer> {
  const accepted: TunnelServer['accepted'] = [];
  const sockets = new Set<Socket>();
  let arrived = Promise.withResolvers<undefined>();
  const server: Server = createServer(
    {
      key: identity.key,
      cert: identity.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket) => {
      socket.on('error', () => undefined);
      accepted.push({ session: new YamuxSession(socket, { role: 'server' }), socket, at: performance.now() });
      arrived.resolve(undefined);
      arrived = Promise.withResolvers();
    },
  );
  server.on('connection', (socket) => sockets.add(socket));
  server.on('tlsClientError', () => undefined);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  return {
    address: `127.0.0.1:${bound}`,
    port: bound,
    accepted,
    session: async (count = 0) => {
      for (;;) {
        const found = accepted[count];
        if (found) return found;
        await arrived.promise;
      }
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
