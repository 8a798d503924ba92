import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';

type Shown = { readonly certificate: string; readonly key: string };

/**
 * Whether a client that trusts `ca` and expects `servername` accepts the certificate: 'accepted', or why not.
 * With `client`, the client shows that certificate and the server verifies it against the same `ca`.
 */
export async function handshake(
  { certificate, key }: Shown,
  { ca, servername, client, host }: { ca: string; servername?: string; host?: string; client?: Shown },
): Promise<string> {
  const server = tls.createServer({
    cert: certificate,
    key,
    ...(client ? { requestCert: true, rejectUnauthorized: true, ca: split(ca) } : {}),
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined).end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const socket = tls.connect({
      port: (server.address() as AddressInfo).port,
      host: '127.0.0.1',
      ca: split(ca),
      ...(servername === undefined ? {} : { servername }),
      ...(host === undefined
        ? {}
        : { checkServerIdentity: (_name, peer) => tls.checkServerIdentity(host, peer) }),
      ...(client ? { cert: client.certificate, key: client.key } : {}),
    });
    // In TLS 1.3 a refused client hears of it only when it reads.
    return await new Promise<string>((resolve) => {
      socket.once('data', () => resolve('accepted'));
      socket.once('close', () => resolve('refused'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    }).finally(() => socket.destroy());
  } finally {
    server.close();
  }
}

/** The certificates of a bundle, PEM each. */
export const split = (bundle: string): string[] =>
  bundle.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----\n?/g) ?? [];
