import { once } from 'node:events';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { KubeApiAccess } from '../../local/demo-cluster/agent-proxy.ts';
import { makeServerCertificate } from '../../local/demo-cluster/kube-api-certificate.ts';

/**
 * A Kubernetes API that has upgrades only: WebSockets that send every message back under the first protocol that is
 * asked for, 403 for pods named `forbidden`; and a Goldmane whose one method answers a stream of messages in gRPC.
 */
export type WebSocketApi = KubeApiAccess & {
  readonly goldmaneUrl: string;
  /** Protocols that were asked for, and how often. */
  readonly protocols: Map<string, number>;
  /** What came before the first message of each WebSocket, bytes: nothing may. */
  readonly early: number[];
  /** Ends the next WebSockets with this code right after their first message. */
  closeWith: number | undefined;
  close(): Promise<void>;
};

const token = 'the-own-token-of-the-agent';

export async function startWebSocketApi(): Promise<WebSocketApi> {
  const { ca, key, certificate } = await makeServerCertificate(new Date());
  const protocols = new Map<string, number>();
  const early: number[] = [];
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 64 * 1024 * 1024,
    handleProtocols: ([first]) => first ?? false,
  });
  const server = createHttpsServer({ key, cert: certificate }, (request, response) => {
    // Guardian's rights, asked before something that changes the cluster.
    request.resume();
    response.writeHead(201, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ kind: 'SelfSubjectAccessReview', status: { allowed: true } }));
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => undefined);
    early.push(head.length);
    if (
      request.headers.authorization !== `Bearer ${token}` ||
      request.url?.includes('/forbidden/') === true
    ) {
      const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 403 };
      const body = JSON.stringify(status);
      socket.end(
        `HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) => {
      protocols.set(opened.protocol, (protocols.get(opened.protocol) ?? 0) + 1);
      opened.on('error', () => undefined);
      opened.on('message', (data, binary) => {
        opened.send(data as Buffer, { binary });
        if (api.closeWith !== undefined) opened.close(api.closeWith, 'as the test wants');
      });
    });
  });
  const goldmane = createSecureServer({ key, cert: certificate });
  serveGoldmane(goldmane);
  const urls = await Promise.all(
    [server, goldmane].map(async (each) => {
      each.listen(0, '127.0.0.1');
      await once(each, 'listening');
      return `https://127.0.0.1:${(each.address() as AddressInfo).port}`;
    }),
  );
  const [url = '', goldmaneUrl = ''] = urls;
  const api: WebSocketApi = {
    url,
    goldmaneUrl,
    ca,
    token,
    protocols,
    early,
    closeWith: undefined,
    async close() {
      const closed = Promise.all([once(server, 'close'), once(goldmane, 'close')]);
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
      goldmane.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
  const sessions = new Set<{ destroy(): void }>();
  goldmane.on('session', (session) => {
    session.on('error', () => undefined);
    sessions.add(session);
  });
  return api;
}

/** A message as gRPC frames it: not compressed, its length, itself. */
export function grpcMessage(bytes: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Sends each message of the request back three times, then trailers: 0, or 3 for an empty request. */
function serveGoldmane(server: Http2SecureServer): void {
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const body = Buffer.concat(chunks);
      const trailers = { 'grpc-status': body.length > 5 ? '0' : '3', 'grpc-message': String(headers.te) };
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      for (let turn = 0; turn < 3; turn += 1) stream.write(body);
      stream.end();
    });
  });
}
