import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestPair } from '../tunnel-fargate/certificates.ts';

/** A forward proxy as companies have them: CONNECT with Basic authentication, and nothing else. */
export type ConnectProxy = {
  /** With the credentials that it wants. */
  readonly url: string;
  /** Addresses that it was asked for. */
  readonly asked: string[];
  close(): Promise<void>;
};

const credentials = 'agent:a secret/with:signs';

/** `pair`: makes it an https proxy. */
export async function startConnectProxy(pair?: TestPair): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const server = pair ? createHttpsServer({ cert: pair.certificate, key: pair.key }) : createHttpServer();
  server.on('connect', (request: IncomingMessage, client: Socket, early: Buffer) => {
    sockets.add(client);
    client.on('error', () => undefined);
    const expected = `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (request.headers['proxy-authorization'] !== expected || early.length > 0) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    asked.push(request.url ?? '');
    const { hostname, port } = new URL(`tcp://${request.url ?? ''}`);
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true }, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
    sockets.add(upstream);
    upstream.on('error', () => client.destroy());
    client.on('close', () => upstream.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [user = '', ...password] = credentials.split(':');
  const login = `${user}:${encodeURIComponent(password.join(':'))}`;
  return {
    url: `${pair ? 'https' : 'http'}://${login}@127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await closed;
    },
  };
}
