import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import QuickLRU from 'quick-lru';
import type { TenantUsage } from '../limits/tenant-usage.ts';
import type { YamuxStream } from '../yamux/stream.ts';
import { endTransport } from '../yamux/transport.ts';
import { defaultPace, HandshakePace } from './handshake-pace.ts';
import { type Identify, type Identity, type RefusalReason, type Verdict } from './identity.ts';
import { defaultRefusals, Refusals } from './refusals.ts';
import { acceptTls, type KeyPair, serverContext } from './tls-acceptance.ts';
import { defaultTunnelOptions, Tunnel, type TunnelEnd, type TunnelOptions } from './tunnel.ts';
import type { Tunnels } from './tunnels.ts';
import type { WindowMemory } from './window-memory.ts';

export type TunnelServerOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly certificate: KeyPair;
  readonly identify: Identify;
  readonly tunnels: Tunnels;
  readonly limits: Pick<TenantUsage, 'admitsTunnel'>;
  readonly windowMemory: Pick<WindowMemory, 'open'>;
  /** A stream that a cluster opened. */
  readonly onStream: (stream: YamuxStream, tunnel: Tunnel) => void;
  readonly observer?: TunnelObserver;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly handshakeTimeoutMs?: number;
  readonly pace?: typeof defaultPace;
  readonly refusals?: typeof defaultRefusals;
  readonly tunnel?: Partial<TunnelOptions>;
};

/** What a connection to the port came to: a tunnel, a refused certificate, no TLS in time, dropped as one too many. */
export type HandshakeOutcome = 'accepted' | 'refused' | 'failed' | 'dropped';

/** Bytes on the wire of all tunnels since the start (in: from the clusters); their mux streams and upgraded requests now. */
export type TunnelTraffic = {
  readonly in: number;
  readonly out: number;
  readonly streams: number;
  readonly upgrades: number;
};

/** Is told what happens here, for the figures. */
export type TunnelObserver = {
  onHandshake(outcome: HandshakeOutcome): void;
  onRefused(reason: RefusalReason): void;
  onOpened(by: { readonly stale: boolean }): void;
  onClosed(reason: TunnelEnd): void;
};

/** The same refusal of the same certificate is logged once in this time: refused clusters come back every few seconds. */
const refusalLogMs = 60_000;

/** Port 9000: mutual TLS, identity by fingerprint after every handshake, then a mux session per cluster (guardian.md). */
export class TunnelServer {
  readonly #options: TunnelServerOptions;
  readonly #server: Server;
  readonly #pace: HandshakePace;
  readonly #refusals: Refusals;
  readonly #logged = new QuickLRU<string, true>({ maxSize: 1_000, maxAge: refusalLogMs });
  /** Connections that are not yet a tunnel. */
  readonly #arriving = new Set<Socket>();
  /** Tunnels that are up, with the connection that carries each. */
  readonly #carriers = new Map<Tunnel, Socket>();
  /** Bytes of tunnels that have ended. */
  #ended = { in: 0, out: 0 };
  #context: SecureContext;
  #sequence = 0;
  #closed = false;

  constructor(options: TunnelServerOptions) {
    this.#options = options;
    this.#context = serverContext(options.certificate);
    this.#pace = new HandshakePace(options.pace);
    this.#refusals = new Refusals(options.refusals);
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) =>
      this.#onConnection(socket),
    );
  }

  /** Resolves with the port. */
  listen(): Promise<number> {
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) =>
          this.#options.logger.error({ err: error }, 'the tunnel port failed'),
        );
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** New handshakes get this certificate; tunnels that are up stay. Throws when key and certificate do not match. */
  useCertificate(certificate: KeyPair): void {
    this.#context = serverContext(certificate);
  }

  /** Takes no more connections; drops those that are not yet a tunnel, ends the refused. The tunnels stay. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#server.close();
    for (const socket of this.#arriving) socket.destroy();
    await this.#refusals.close();
  }

  get traffic(): TunnelTraffic {
    const sum = { ...this.#ended, streams: 0, upgrades: 0 };
    for (const [tunnel, { bytesRead, bytesWritten }] of this.#carriers) {
      sum.in += bytesRead;
      sum.out += bytesWritten;
      sum.streams += tunnel.streamCount;
      sum.upgrades += tunnel.upgradeCount;
    }
    return sum;
  }

  /** Connections that are not yet judged. */
  get handshakesInFlight(): number {
    return this.#pace.inFlight;
  }

  /** Refused peers that wait for their end. */
  get refusedParked(): number {
    return this.#refusals.size;
  }

  #onConnection(socket: Socket): void {
    // None: it is gone already. Kept here, for a socket forgets its address when it closes.
    const address = socket.remoteAddress ?? '';
    const accepted = this.#pace.enter(address, () => {
      void this.#handshake(socket)
        .catch((error: unknown) => {
          // A mistake of ours in one handshake must not end the process and every tunnel in it.
          this.#options.logger.error({ err: error }, 'a connection could not be made a tunnel');
          socket.destroy();
        })
        .finally(() => {
          this.#arriving.delete(socket);
          this.#pace.leave(address);
        });
    });
    if (!accepted) {
      this.#options.observer?.onHandshake('dropped');
      socket.destroy();
      return;
    }
    this.#arriving.add(socket);
    // A connection may fail before it is its turn, when nobody else listens yet.
    socket.on('error', () => undefined);
  }

  async #handshake(socket: Socket): Promise<void> {
    const { logger, observer, handshakeTimeoutMs = 10_000 } = this.#options;
    if (socket.destroyed) {
      observer?.onHandshake('failed');
      return;
    }
    let secured: TLSSocket;
    try {
      secured = await acceptTls(socket, {
        context: this.#context,
        timeoutMs: handshakeTimeoutMs,
        requestCert: true,
      });
    } catch (error) {
      observer?.onHandshake('failed');
      logger.debug({ err: error, remoteAddress: socket.remoteAddress }, 'a TLS handshake failed');
      return;
    }
    this.#sequence += 1;
    const sequence = this.#sequence;
    const verdict = await this.#options.identify(secured.getPeerX509Certificate());
    if (secured.destroyed) {
      observer?.onHandshake('failed');
      return;
    }
    if (verdict.kind === 'refused') {
      this.#refuse(secured, verdict);
    } else if (this.#closed) {
      void endTransport(secured, 1_000);
    } else if (!this.#admits(verdict.identity)) {
      const { fingerprint } = verdict.identity;
      this.#refuse(secured, { kind: 'refused', reason: 'TENANT_LIMIT', fingerprint });
    } else {
      this.#open(secured, verdict, { sequence, carrier: socket });
    }
  }

  /** A cluster that has a tunnel may always replace it: it is how a cluster comes back. */
  #admits({ clusterId, tenantId }: Identity): boolean {
    const { tunnels, limits } = this.#options;
    return tunnels.get(clusterId) !== undefined || limits.admitsTunnel(tunnels.sizeOf(tenantId));
  }

  #refuse(secured: TLSSocket, { reason, fingerprint, cause }: Extract<Verdict, { kind: 'refused' }>): void {
    this.#options.observer?.onHandshake('refused');
    this.#options.observer?.onRefused(reason);
    const key = `${reason} ${fingerprint ?? ''}`;
    if (!this.#logged.has(key)) {
      this.#logged.set(key, true);
      const line = { event: 'tunnel refused', reason, fingerprint, remoteAddress: secured.remoteAddress };
      if (cause === undefined) this.#options.logger.warn(line, 'tunnel refused');
      else this.#options.logger.error({ ...line, err: cause }, 'tunnel refused');
    }
    if (this.#closed) void endTransport(secured, 1_000);
    else this.#refusals.park(secured);
  }

  #open(
    secured: TLSSocket,
    { identity, stale }: Extract<Verdict, { kind: 'accepted' }>,
    { sequence, carrier }: { sequence: number; carrier: Socket },
  ): void {
    const { tunnels, windowMemory, onStream, observer, now, logger, tunnel: changed } = this.#options;
    const { tenantId, clusterId, fingerprint } = identity;
    const line = { tenantId, clusterId, fingerprint, remoteAddress: secured.remoteAddress };
    logger.info(
      { event: 'tunnel opened', ...line, tlsVersion: secured.getProtocol(), ...(stale ? { stale } : {}) },
      'tunnel opened',
    );
    observer?.onHandshake('accepted');
    observer?.onOpened({ stale });
    const memory = windowMemory.open(tenantId);
    const tunnel = new Tunnel(secured, {
      identity,
      sequence,
      now,
      options: { ...defaultTunnelOptions, ...changed },
      windowBudget: memory.budget,
      onStream,
      onClose: (closed: Tunnel, reason: TunnelEnd) => {
        const { openedAt, rttMs, streams } = closed;
        const { bytesRead: bytesIn, bytesWritten: bytesOut } = carrier;
        this.#carriers.delete(closed);
        this.#ended = { in: this.#ended.in + bytesIn, out: this.#ended.out + bytesOut };
        tunnels.remove(closed);
        memory.close();
        observer?.onClosed(reason);
        logger.info(
          {
            event: 'tunnel closed',
            ...line,
            reason,
            durationMs: now() - openedAt,
            bytesIn,
            bytesOut,
            streams,
            rttMs,
          },
          'tunnel closed',
        );
      },
    });
    this.#carriers.set(tunnel, carrier);
    tunnels.add(tunnel);
  }
}
