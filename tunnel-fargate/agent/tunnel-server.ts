import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import QuickLRU from 'quick-lru';
import type { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';
import type { YamuxStream } from '../yamux/stream.ts';
import { endTransport } from '../yamux/transport.ts';
import { defaultPace, HandshakePace } from './handshake-pace.ts';
import { type Identity, identify, type Verdict } from './identity.ts';
import { defaultRefusals, Refusals } from './refusals.ts';
import { acceptTls, type KeyPair, serverContext } from './tls-acceptance.ts';
import { defaultTunnelOptions, Tunnel, type TunnelEnd, type TunnelOptions } from './tunnel.ts';
import type { Tunnels } from './tunnels.ts';

export type TunnelServerOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly certificate: KeyPair;
  readonly directory: Pick<CertificateDirectoryRepository, 'find'>;
  readonly tunnels: Tunnels;
  /** A stream that a cluster opened. */
  readonly onStream: (stream: YamuxStream, tunnel: Tunnel) => void;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly handshakeTimeoutMs?: number;
  readonly pace?: typeof defaultPace;
  readonly refusals?: typeof defaultRefusals;
  readonly tunnel?: Partial<TunnelOptions>;
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

  #onConnection(socket: Socket): void {
    // None: it is gone already. Kept here, for a socket forgets its address when it closes.
    const address = socket.remoteAddress ?? '';
    const accepted = this.#pace.enter(address, () => {
      void this.#handshake(socket).finally(() => {
        this.#arriving.delete(socket);
        this.#pace.leave(address);
      });
    });
    if (!accepted) {
      socket.destroy();
      return;
    }
    this.#arriving.add(socket);
    // A connection may fail before it is its turn, when nobody else listens yet.
    socket.on('error', () => undefined);
  }

  async #handshake(socket: Socket): Promise<void> {
    const { directory, now, logger, handshakeTimeoutMs = 10_000 } = this.#options;
    if (socket.destroyed) return;
    let secured: TLSSocket;
    try {
      secured = await acceptTls(socket, {
        context: this.#context,
        timeoutMs: handshakeTimeoutMs,
        requestCert: true,
      });
    } catch (error) {
      logger.debug({ err: error, remoteAddress: socket.remoteAddress }, 'a TLS handshake failed');
      return;
    }
    this.#sequence += 1;
    const sequence = this.#sequence;
    const verdict = await identify(secured.getPeerX509Certificate(), { directory, now });
    if (secured.destroyed) return;
    if (verdict.kind === 'refused') {
      this.#refuse(secured, verdict);
    } else if (this.#closed) {
      void endTransport(secured, 1_000);
    } else {
      this.#open(secured, verdict.identity, sequence);
    }
  }

  #refuse(secured: TLSSocket, { reason, fingerprint, cause }: Extract<Verdict, { kind: 'refused' }>): void {
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

  #open(secured: TLSSocket, identity: Identity, sequence: number): void {
    const { tunnels, onStream, now, logger, tunnel: changed } = this.#options;
    const { tenantId, clusterId, fingerprint } = identity;
    const line = { tenantId, clusterId, fingerprint, remoteAddress: secured.remoteAddress };
    logger.info({ event: 'tunnel opened', ...line, tlsVersion: secured.getProtocol() }, 'tunnel opened');
    const tunnel = new Tunnel(secured, {
      identity,
      sequence,
      now,
      options: { ...defaultTunnelOptions, ...changed },
      onStream,
      onClose: (closed: Tunnel, reason: TunnelEnd) => {
        const { openedAt, rttMs } = closed;
        tunnels.remove(closed);
        logger.info(
          { event: 'tunnel closed', ...line, reason, durationMs: now() - openedAt, rttMs },
          'tunnel closed',
        );
      },
    });
    tunnels.add(tunnel);
  }
}
