import type { ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { YamuxError } from '../yamux/error.ts';
import { YamuxSession } from '../yamux/session.ts';
import type { YamuxStream } from '../yamux/stream.ts';
import type { ClusterLink, ClusterRequestOptions } from './cluster-link.ts';
import type { Identity } from './identity.ts';
import { openInnerConnection } from './inner-connection.ts';
import { InnerConnections } from './inner-connections.ts';

/** Why a tunnel ended: a decision of ours, or the code of the mux. */
export type TunnelEnd =
  | 'REPLACED' // a newer session of the same cluster
  | 'SUPERSEDED' // a newer session of the same cluster at another task
  | 'CERTIFICATE_REVOKED'
  | 'CERTIFICATE_EXPIRED'
  | 'SHUTDOWN'
  | YamuxError['code'];

export type TunnelOptions = {
  /**
   * Receive window of each stream that we open, bytes: what a stalled reader may leave in our memory. Streams that the
   * cluster opens keep the protocol's 262,144: it opens as many as it likes, and no byte budget counts what is unread.
   */
  readonly initialWindow: number;
  /** Our own keepalive, ms: finds dead peers, measures the round trip. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Guardian pings every 100 ms, the next only after the reply: held back 3 s, the pings of 10,000 idle clusters are cheap (tunnel.md 1). */
  readonly pongDelayMs: number;
  /** Bound of the inner TLS handshake, ms. */
  readonly innerTimeoutMs: number;
};

export const defaultTunnelOptions: TunnelOptions = {
  initialWindow: 1_048_576,
  pingIntervalMs: 15_000,
  pingTimeoutMs: 10_000,
  pongDelayMs: 3_000,
  innerTimeoutMs: 10_000,
};

type Dependencies = {
  readonly identity: Identity;
  /** Order in which the handshakes ended; the highest of a cluster is its newest. */
  readonly sequence: number;
  readonly now: () => number;
  readonly options: TunnelOptions;
  /** A stream that the cluster opened. */
  readonly onStream: (stream: YamuxStream, tunnel: Tunnel) => void;
  readonly onClose: (tunnel: Tunnel, end: TunnelEnd) => void;
};

/** One connected Guardian: its mux session, and the way into its cluster. */
export class Tunnel implements ClusterLink {
  readonly identity: Identity;
  readonly sequence: number;
  /** Epoch milliseconds. */
  readonly openedAt: number;
  readonly #session: YamuxSession;
  readonly #inner: InnerConnections;
  readonly #onClose: Dependencies['onClose'];
  #end: TunnelEnd | undefined;

  constructor(transport: Duplex, { identity, sequence, now, options, onStream, onClose }: Dependencies) {
    this.identity = identity;
    this.sequence = sequence;
    this.openedAt = now();
    this.#onClose = onClose;
    const { initialWindow, pingIntervalMs, pingTimeoutMs, pongDelayMs } = options;
    const session = new YamuxSession(transport, {
      role: 'server',
      initialWindow,
      pingIntervalMs,
      pingTimeoutMs,
      pongDelayMs,
    });
    this.#session = session;
    this.#inner = new InnerConnections({
      open: () => openInnerConnection({ session, pin: identity, now, timeoutMs: options.innerTimeoutMs }),
    });
    session.on('stream', (stream) => onStream(stream, this));
    session.once('close', (reason) => this.#finish(reason?.code ?? 'SESSION_CLOSED'));
  }

  get clusterId(): string {
    return this.identity.clusterId;
  }

  get tenantId(): string {
    return this.identity.tenantId;
  }

  /** Last measured round trip, ms. */
  get rttMs(): number | undefined {
    return this.#session.rttMs;
  }

  request(headers: OutgoingHttpHeaders, options: ClusterRequestOptions): Promise<ClientHttp2Stream> {
    return this.#inner.request(headers, options);
  }

  /**
   * Ends the tunnel in order: close_notify and FIN after the unread is drained, and never GoAway 0 (guardian.md 2.4
   * rules 6 and 7). It counts as closed at once; resolves when the connection is gone.
   */
  async close(end: TunnelEnd): Promise<void> {
    this.#finish(end);
    await this.#session.close();
  }

  #finish(end: TunnelEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#inner.close();
    this.#onClose(this, end);
  }
}
