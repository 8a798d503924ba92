import type { ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { YamuxError } from '../yamux/error.ts';
import { YamuxSession } from '../yamux/session.ts';
import type { YamuxStream } from '../yamux/stream.ts';
import type { WindowBudget } from '../yamux/window-budget.ts';
import type { ClusterLink, ClusterRequestOptions } from './cluster-link.ts';
import type { Identity } from './identity.ts';
import { openInnerConnection } from './inner-connection.ts';
import { InnerConnections } from './inner-connections.ts';
import type { UpgradeAnswer, UpgradeOptions, UpgradeRequest } from './upgrade-connection.ts';
import { UpgradeConnections } from './upgrade-connections.ts';

/** Why a tunnel ended: a decision of ours, or the code of the mux. */
export type TunnelEnd =
  | 'REPLACED' // a newer session of the same cluster
  | 'SUPERSEDED' // a newer session of the same cluster at another task
  | 'CERTIFICATE_REVOKED'
  | 'CERTIFICATE_EXPIRED'
  | 'SHUTDOWN'
  | YamuxError['code'];

export type TunnelOptions = {
  /** What a stream's receive window may grow to, of either side's streams, as long as the window memory allows it, bytes. */
  readonly maxWindow: number;
  /** Our own keepalive, ms: finds dead peers, measures the round trip. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Guardian pings every 100 ms, the next only after the reply: held back 5 s of the 10 s after which it gives up, the pings of 10,000 idle clusters are cheap (tunnel.md 1, benchmarks.md W6). */
  readonly pongDelayMs: number;
  /** Bound of the inner TLS handshake, ms. */
  readonly innerTimeoutMs: number;
};

export const defaultTunnelOptions: TunnelOptions = {
  maxWindow: 16_777_216,
  pingIntervalMs: 15_000,
  pingTimeoutMs: 10_000,
  pongDelayMs: 5_000,
  innerTimeoutMs: 10_000,
};

type Dependencies = {
  readonly identity: Identity;
  /** Order in which the handshakes ended; the highest of a cluster is its newest. */
  readonly sequence: number;
  readonly now: () => number;
  readonly options: TunnelOptions;
  /** Memory for what the cluster sends and nobody has read yet. */
  readonly windowBudget: WindowBudget;
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
  readonly #upgrades: UpgradeConnections;
  readonly #onClose: Dependencies['onClose'];
  #ourStreams = 0;
  #theirStreams = 0;
  #end: TunnelEnd | undefined;
  /** The session as those see it who open streams: it counts them. */
  readonly #counted: Pick<YamuxSession, 'open'> = {
    open: () => {
      const stream = this.#session.open();
      this.#ourStreams += 1;
      return stream;
    },
  };

  constructor(transport: Duplex, dependencies: Dependencies) {
    const { identity, sequence, now, options, windowBudget, onStream, onClose } = dependencies;
    this.identity = identity;
    this.sequence = sequence;
    this.openedAt = now();
    this.#onClose = onClose;
    const { maxWindow, pingIntervalMs, pingTimeoutMs, pongDelayMs } = options;
    const session = new YamuxSession(transport, {
      role: 'server',
      maxWindow,
      windowBudget,
      pingIntervalMs,
      pingTimeoutMs,
      pongDelayMs,
    });
    this.#session = session;
    const pinned = { session: this.#counted, pin: identity, now, timeoutMs: options.innerTimeoutMs };
    this.#inner = new InnerConnections({ open: () => openInnerConnection(pinned) });
    this.#upgrades = new UpgradeConnections(pinned);
    session.on('stream', (stream) => {
      this.#theirStreams += 1;
      onStream(stream, this);
    });
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

  /** Mux streams that are open now, of either side. */
  get streamCount(): number {
    return this.#session.streamCount;
  }

  /** Upgraded requests that are open now. */
  get upgradeCount(): number {
    return this.#upgrades.size;
  }

  /** Mux streams since it is up, by who opened them. */
  get streams(): { readonly ours: number; readonly theirs: number } {
    return { ours: this.#ourStreams, theirs: this.#theirStreams };
  }

  request(headers: OutgoingHttpHeaders, options: ClusterRequestOptions): Promise<ClientHttp2Stream> {
    return this.#inner.request(headers, options);
  }

  upgrade(request: UpgradeRequest, options: UpgradeOptions): Promise<UpgradeAnswer> {
    return this.#upgrades.upgrade(request, options);
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
    this.#upgrades.close();
    this.#onClose(this, end);
  }
}
