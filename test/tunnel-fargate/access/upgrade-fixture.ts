import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { TestGuardian } from '../guardian.ts';
import { type Fixture, startTunnel } from '../tunnel-fixture.ts';
import { type Access, clusterId, startFixture } from './access-fixture.ts';

export const exec = `/clusters/${clusterId}/api/v1/namespaces/default/pods/one/exec?command=sh`;
export const portForward = `/clusters/${clusterId}/api/v1/namespaces/default/pods/one/portforward`;

export type ServeUpgrade = (request: IncomingMessage, socket: Duplex, swallowed: number) => void;

export type Upgraded = {
  readonly access: Access;
  readonly tunnel: Fixture;
  readonly guardian: TestGuardian;
  /** Requests for another protocol, as they came into the cluster. */
  readonly seen: IncomingMessage[];
  /** A WebSocket through all of it. */
  socket(path?: string, options?: SocketOptions): WebSocket;
  /** A bare connection to the access port that has sent a request for a WebSocket. */
  raw(options?: { path?: string; headers?: readonly string[] }): Promise<TLSSocket>;
  close(): Promise<void>;
};

export type SocketOptions = {
  readonly token?: string;
  readonly protocols?: string[];
  readonly headers?: Record<string, string>;
};

/** Access side, tunnel and a Guardian that serves upgrades with `serve`. */
export async function startUpgraded(
  serve: ServeUpgrade,
  options: Parameters<typeof startFixture>[1] = {},
): Promise<Upgraded> {
  const tunnel = await startTunnel();
  const seen: IncomingMessage[] = [];
  const guardian = await TestGuardian.connect({
    port: tunnel.port,
    roots: tunnel.roots,
    pair: await tunnel.register(),
    // Every right that is asked about is granted.
    serve: (stream) => {
      stream.respond({ ':status': 201, 'content-type': 'application/json' });
      stream.end(JSON.stringify({ kind: 'SelfSubjectAccessReview', status: { allowed: true } }));
    },
    upgrade: (request, socket, swallowed) => {
      seen.push(request);
      serve(request, socket, swallowed);
    },
  });
  const access = await startFixture(undefined, options);
  access.route = { kind: 'link', link: await tunnel.link() };
  return {
    access,
    tunnel,
    guardian,
    seen,
    socket: (path = exec, { token = 'editor', protocols = [], headers = {} } = {}) => {
      const socket = new WebSocket(`wss://127.0.0.1:${access.port}${path}`, protocols, {
        ca: access.ca.certificate,
        headers: { authorization: `Bearer ${token}`, ...headers },
      });
      socket.on('error', () => undefined);
      return socket;
    },
    raw: async ({ path = exec, headers = [] } = {}) => {
      const socket = connectTls({ host: '127.0.0.1', port: access.port, ca: access.ca.certificate });
      socket.on('error', () => undefined);
      await once(socket, 'secureConnect');
      const lines = [
        `GET ${path} HTTP/1.1`,
        'Host: x',
        'Authorization: Bearer editor',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
        ...headers,
      ];
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      return socket;
    },
    close: async () => {
      await access.close();
      await guardian.close();
      await tunnel.close();
    },
  };
}

/** A cluster that sends every message back. */
export function echoServer(): ServeUpgrade & { readonly server: WebSocketServer } {
  const server = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 * 1024 });
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (data, binary) => socket.send(data as Buffer, { binary }));
  });
  const serve: ServeUpgrade = (request, socket) =>
    server.handleUpgrade(request, socket, Buffer.alloc(0), (opened) =>
      server.emit('connection', opened, request),
    );
  return Object.assign(serve, { server });
}

/** Answers 101 as the API server would and gives the bare connection. */
export const switchTo =
  (then: (socket: Duplex) => void, headers: readonly string[] = ['Upgrade: websocket']): ServeUpgrade =>
  (_request, socket) => {
    socket.write(
      ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', ...headers, '', ''].join('\r\n'),
    );
    then(socket);
  };

/** The head of the answer on a bare connection; what follows is left unread. */
export async function headOf(socket: TLSSocket): Promise<string> {
  let text = '';
  for (;;) {
    const byte = socket.read(1) as Buffer | null;
    if (byte) text += byte.toString('latin1');
    else if (socket.readableEnded || socket.destroyed) return text;
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
    if (text.endsWith('\r\n\r\n')) return text;
  }
}

/** A stream of bytes that looks random and is the same on every run. */
export function* noise(chunks: number, size = 64 * 1024): Generator<Buffer> {
  for (let at = 0; at < chunks; at += 1) {
    const seed = createHash('sha256').update(String(at)).digest();
    yield Buffer.alloc(size, seed);
  }
}
