import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';
import { fingerprint } from '../../core/certificate/fingerprint.ts';
import { Problem } from '../../core/problem/problem.ts';
import { YamuxError } from '../yamux/error.ts';
import type { YamuxSession } from '../yamux/session.ts';
import type { YamuxStream } from '../yamux/stream.ts';
import { type Identity, validityOf } from './identity.ts';

/** One for all: a context of its own would cost every upgrade half a millisecond. */
const context = createSecureContext({ minVersion: 'TLSv1.2' });

export type PinnedTlsOptions = {
  readonly session: Pick<YamuxSession, 'open'>;
  /** The certificate that must be presented inside: the tunnel's own (guardian.md §2.3). */
  readonly pin: Pick<Identity, 'fingerprint'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Bound of the handshake, ms. */
  readonly timeoutMs: number;
};

/** The protocols that Guardian's inner server speaks, by their ALPN names. */
export type InnerProtocol = 'h2' | 'http/1.1';

/** `stream` lies below `socket`. */
export type PinnedTls = { readonly socket: TLSSocket; readonly stream: YamuxStream };

/**
 * TLS into the cluster over a yamux stream of its own. Guardian serves with its client certificate, so the usual
 * verification cannot hold; instead the certificate is compared with the tunnel's, and its dates are checked, before
 * the first byte of ours (design.md 6). Rejects with Problem CLUSTER_NOT_CONNECTED, BAD_GATEWAY or TIMEOUT, or with the
 * reason of `signal`.
 */
export function openPinnedTls(
  { session, pin, now, timeoutMs }: PinnedTlsOptions,
  protocol: InnerProtocol,
  signal?: AbortSignal,
): Promise<PinnedTls> {
  const stream = openStream(session);
  const socket = connectTls({
    socket: stream,
    ALPNProtocols: [protocol],
    rejectUnauthorized: false,
    secureContext: context,
  });
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
    };
    const fail = (reason: Error) => {
      settle();
      reject(reason);
      socket.destroy();
      stream.destroy();
    };
    const aborted = () => fail(signal?.reason as Error);
    const timer = setTimeout(
      () => fail(new Problem('TIMEOUT', 'The cluster did not answer the inner TLS handshake.')),
      timeoutMs,
    );
    // Never taken off: TLS over a stream passes the stream's error on even when it was destroyed before (Node 24.21),
    // and an error that nobody takes ends the process and with it everybody's tunnels.
    socket.on('error', (cause) => fail(brokenConnection(cause)));
    socket.once('close', () => fail(brokenConnection(undefined)));
    socket.once('secureConnect', () => {
      const complaint = complaintAbout(socket, { pin, protocol, time: now() });
      if (complaint) {
        fail(new Problem('BAD_GATEWAY', complaint));
        return;
      }
      settle();
      resolve({ socket, stream });
    });
    signal?.addEventListener('abort', aborted, { once: true });
    if (signal?.aborted) aborted();
  });
}

function openStream(session: PinnedTlsOptions['session']): YamuxStream {
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

const protocolNames: Readonly<Record<InnerProtocol, string>> = { h2: 'HTTP/2', 'http/1.1': 'HTTP/1.1' };

function complaintAbout(
  socket: TLSSocket,
  { pin, protocol, time }: { pin: PinnedTlsOptions['pin']; protocol: InnerProtocol; time: number },
): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate || fingerprint(certificate.raw) !== pin.fingerprint) {
    return 'The cluster presented another certificate inside the tunnel than outside.';
  }
  const { notBefore, notAfter } = validityOf(certificate);
  if (time < notBefore || time > notAfter) return 'The certificate of the cluster is not valid now.';
  // Who negotiates nothing speaks HTTP/1.1 (RFC 9112 §9.2).
  const spoken = socket.alpnProtocol === false ? 'http/1.1' : socket.alpnProtocol;
  return spoken === protocol ? undefined : `The cluster does not speak ${protocolNames[protocol]}.`;
}

const sessionGone = (cause: unknown): boolean =>
  cause instanceof YamuxError && (cause.code === 'SESSION_CLOSED' || cause.code === 'SESSION_DESTROYED');

/** What a connection into a cluster that broke off means to the one who wanted it. */
export const brokenConnection = (cause: unknown): Problem =>
  sessionGone(cause)
    ? new Problem('CLUSTER_NOT_CONNECTED', undefined, { cause })
    : new Problem('BAD_GATEWAY', 'The connection to the cluster broke before it was ready.', { cause });
