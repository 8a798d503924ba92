import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { fingerprint } from '../../core/certificate/fingerprint.ts';
import { Problem } from '../../core/problem/problem.ts';
import { YamuxError } from '../yamux/error.ts';
import type { YamuxSession } from '../yamux/session.ts';
import { type Identity, validityOf } from './identity.ts';

type Options = {
  readonly session: Pick<YamuxSession, 'open'>;
  /** The certificate that must be presented inside: the tunnel's own (guardian.md §2.3). */
  readonly pin: Pick<Identity, 'fingerprint'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly timeoutMs: number;
};

/** What a stalled reader may leave in our memory per request, bytes. */
export const requestWindow = 524_288;
/** Requests on one connection; Go announces the same. */
export const maxRequests = 250;

/**
 * A new HTTP/2 connection into the cluster: yamux stream, TLS with us as client, h2. Guardian serves with its client
 * certificate, so the usual verification cannot hold; instead the certificate is compared with the tunnel's, and its
 * dates are checked, before the first byte of ours (design.md 6). Rejects with Problem CLUSTER_NOT_CONNECTED,
 * BAD_GATEWAY or TIMEOUT.
 */
export async function openInnerConnection(options: Options): Promise<ClientHttp2Session> {
  const socket = await openPinnedTls(options);
  if (socket.destroyed) throw broken(socket.errored);
  const connection = connectHttp2('https://kubernetes.default.svc', {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: requestWindow },
    // In MB. Beyond it Node refuses the peer's answers with ENHANCE_YOUR_CALM; what counts is what waits to be sent,
    // and 250 stalled uploads must not make the next request fail.
    maxSessionMemory: 64,
  });
  // Streams are held back one by one by their own windows; the connection's must not be what they share.
  connection.once('connect', () => connection.setLocalWindowSize(8 * requestWindow));
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
      reject(broken(failure));
    });
  });
}

function openPinnedTls({ session, pin, now, timeoutMs }: Options): Promise<TLSSocket> {
  const stream = openStream(session);
  const socket = connectTls({
    socket: stream,
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
  });
  return new Promise((resolve, reject) => {
    const fail = (problem: Problem) => {
      clearTimeout(timer);
      reject(problem);
      socket.destroy();
      stream.destroy();
    };
    const timer = setTimeout(
      () => fail(new Problem('TIMEOUT', 'The cluster did not answer the inner TLS handshake.')),
      timeoutMs,
    );
    // Never taken off: TLS over a stream passes the stream's error on even when it was destroyed before (Node 24.21),
    // and an error that nobody takes ends the process and with it everybody's tunnels.
    socket.on('error', (cause) => fail(broken(cause)));
    socket.once('close', () => fail(broken(undefined)));
    socket.once('secureConnect', () => {
      const complaint = complaintAbout(socket, pin, now());
      if (complaint) {
        fail(new Problem('BAD_GATEWAY', complaint));
        return;
      }
      clearTimeout(timer);
      resolve(socket);
    });
  });
}

function openStream(session: Options['session']) {
  try {
    const stream = session.open();
    // TLS listens for as long as it lives; the stream may outlive it by its close timeout.
    stream.on('error', () => undefined);
    return stream;
  } catch (cause) {
    throw cause instanceof YamuxError && cause.code === 'SESSION_CLOSED'
      ? new Problem('CLUSTER_NOT_CONNECTED', undefined, { cause })
      : new Problem('BAD_GATEWAY', 'The tunnel takes no further streams.', { cause });
  }
}

function complaintAbout(socket: TLSSocket, pin: Options['pin'], time: number): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate || fingerprint(certificate.raw) !== pin.fingerprint) {
    return 'The cluster presented another certificate inside the tunnel than outside.';
  }
  const { notBefore, notAfter } = validityOf(certificate);
  if (time < notBefore || time > notAfter) return 'The certificate of the cluster is not valid now.';
  return socket.alpnProtocol === 'h2' ? undefined : 'The cluster does not speak HTTP/2.';
}

const sessionGone = (cause: unknown): boolean =>
  cause instanceof YamuxError && (cause.code === 'SESSION_CLOSED' || cause.code === 'SESSION_DESTROYED');

const broken = (cause: unknown): Problem =>
  sessionGone(cause)
    ? new Problem('CLUSTER_NOT_CONNECTED', undefined, { cause })
    : new Problem('BAD_GATEWAY', 'The connection to the cluster broke before it was ready.', { cause });
