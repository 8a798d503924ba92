import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { Problem } from '../../core/problem/problem.ts';
import { brokenConnection, openPinnedTls, type PinnedTlsOptions } from './pinned-tls.ts';

/**
 * What a stalled reader may leave in our memory per request, bytes: the HTTP/2 window of one answer. Small enough that
 * a connection full of stalled readers holds 62.5 MiB; one answer moves at most this per round trip, which is what
 * Guardian's own windows allow the other way (guardian.md §2.2).
 */
export const requestWindow = 262_144;
/** Requests on one connection; Go announces the same. */
export const maxRequests = 250;

/**
 * A new HTTP/2 connection into the cluster: yamux stream, pinned TLS with us as client, h2. Rejects with Problem
 * CLUSTER_NOT_CONNECTED, BAD_GATEWAY or TIMEOUT.
 */
export async function openInnerConnection(options: PinnedTlsOptions): Promise<ClientHttp2Session> {
  const { socket } = await openPinnedTls(options, 'h2');
  if (socket.destroyed) throw brokenConnection(socket.errored);
  const connection = connectHttp2('https://kubernetes.default.svc', {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: requestWindow },
    // In MB. Beyond it Node refuses the peer's answers with ENHANCE_YOUR_CALM; what counts is what waits to be sent,
    // and 250 stalled uploads must not make the next request fail.
    maxSessionMemory: 64,
  });
  // Room for the windows of all requests at once: were it less, a few stalled readers would use it up, and the other
  // requests on this connection would wait for them.
  connection.once('connect', () => connection.setLocalWindowSize(maxRequests * requestWindow));
  await settingsOf(connection, options.timeoutMs);
  return connection;
}

/** Waits for the peer's SETTINGS: before them nobody knows how many requests it takes at a time (Go: 250). */
function settingsOf(connection: ClientHttp2Session, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: unknown;
    const timer = setTimeout(() => {
      reject(new Problem('TIMEOUT', 'The cluster did not begin to speak HTTP/2.'));
      connection.destroy();
    }, timeoutMs);
    connection.once('remoteSettings', () => {
      clearTimeout(timer);
      resolve();
    });
    connection.on('error', (error: Error) => void (failure ??= error));
    connection.once('close', () => {
      clearTimeout(timer);
      reject(brokenConnection(failure));
    });
  });
}
