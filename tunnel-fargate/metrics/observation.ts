import type { Logger } from 'pino';
import type { CredentialKind } from '../../core/credential/credential-kind.ts';
import type { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';
import type { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';
import type { EndedRequest } from '../access/server.ts';
import type { TunnelObserver } from '../agent/tunnel-server.ts';
import type { Tunnels } from '../agent/tunnels.ts';
import type { UploadReport } from '../ingest/flow-ingest.ts';
import { InternalServer } from '../internal-server.ts';
import { countFailures } from './count-failures.ts';
import { EventLoop } from './event-loop.ts';
import { Metrics } from './metrics.ts';
import { MinuteLines } from './minute-lines.ts';
import { readingsOf, type Rooms } from './readings.ts';

type Options = {
  readonly listen: { readonly host: string; readonly port: number };
  /** Of each minute line; undefined: none are written. */
  readonly write?: (line: string) => void;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
  /** Between two samples of every tunnel's round trip, ms; as often as they are measured. */
  readonly sampleMs?: number;
};

type Observed = Omit<Rooms, 'eventLoop' | 'now'> & { readonly tunnels: Pick<Tunnels, 'size' | 'all'> };
type CertificateDirectory = Pick<CertificateDirectoryRepository, 'find' | 'revokedSince'>;
type TunnelDirectory = Pick<
  TunnelDirectoryRepository,
  'announce' | 'withdraw' | 'locate' | 'lease' | 'renewLease'
>;

/**
 * All that watches the server from beside it: its figures, the port where they are collected (`GET /metrics`, Prometheus'
 * text), the minute lines for CloudWatch. Rooms report through the callbacks here, and are read through what `start` is given.
 */
export class Observation {
  readonly #options: Options;
  readonly #metrics: Metrics;
  readonly #eventLoop = new EventLoop();
  readonly #server: InternalServer;
  #lines: MinuteLines | undefined;
  #sampling: ReturnType<typeof setInterval> | undefined;

  constructor(options: Options) {
    const { listen, logger, random } = options;
    this.#options = options;
    const metrics = new Metrics({ random });
    this.#metrics = metrics;
    this.#server = new InternalServer({
      listen,
      answer: (path) =>
        path === '/metrics'
          ? metrics.text().then((body) => ({ status: 200, type: metrics.contentType, body }))
          : undefined,
      onError: (error) => logger.error({ err: error }, 'the metrics port failed'),
    });
  }

  /** What happens on the tunnel port. */
  readonly tunnels: TunnelObserver = {
    onHandshake: (outcome) => this.#metrics.count('handshakes', { value: outcome }),
    onRefused: (reason) => this.#metrics.count('refusals', { value: reason }),
    onOpened: ({ stale }) => {
      this.#metrics.count('tunnels_opened');
      if (stale) this.#metrics.count('stale_admissions');
    },
    onClosed: (reason) => this.#metrics.count('tunnels_closed', { value: reason }),
  };

  readonly onRequest = ({ status, durationMs, endless }: EndedRequest): void => {
    const value = status === undefined ? 'none' : `${Math.floor(status / 100)}xx`;
    this.#metrics.count('requests', { value });
    if (status !== undefined && !endless)
      this.#metrics.observe('request_seconds', durationMs / 1_000, { value });
  };

  readonly onRefused = (kind: CredentialKind): void =>
    this.#metrics.count('credentials_refused', { value: kind });

  readonly onDropped = (): void => this.#metrics.count('access_dropped');

  readonly onUpload = ({ outcome, bytes, stored, repeated, rejected }: UploadReport): void => {
    const metrics = this.#metrics;
    metrics.count('ingest_uploads', { value: outcome });
    metrics.count('ingest_bytes', { by: bytes });
    metrics.count('ingest_lines', { value: 'stored', by: stored });
    metrics.count('ingest_lines', { value: 'repeated', by: repeated });
    for (const [reason, by] of Object.entries(rejected)) {
      metrics.count('ingest_malformed_lines', { value: reason, by });
    }
  };

  /** The same directory, whose failures are counted. */
  ofCertificateDirectory(directory: CertificateDirectory): CertificateDirectory {
    return countFailures(directory, ['find', 'revokedSince'], this.#onDirectoryError);
  }

  ofTunnelDirectory(directory: TunnelDirectory): TunnelDirectory {
    const operations = ['announce', 'withdraw', 'locate', 'lease', 'renewLease'] as const;
    return countFailures(directory, operations, this.#onDirectoryError);
  }

  /** The same objects in S3, whose failures are counted. */
  ofObjects<Objects extends { put(object: never): Promise<unknown> }>(
    objects: Objects,
    use: 'flows' | 'audit',
  ): Pick<Objects, 'put'> {
    return countFailures(objects, ['put'], () => this.#metrics.count('storage_errors', { value: use }));
  }

  /** Resolves with the port where the figures are. */
  listen(): Promise<number> {
    return this.#server.listen();
  }

  /** From now on the rooms are read. */
  start(rooms: Observed): void {
    const { now, write, sampleMs = 15_000 } = this.#options;
    const metrics = this.#metrics;
    metrics.read(readingsOf({ ...rooms, eventLoop: this.#eventLoop, now }));
    this.#sampling = setInterval(() => {
      for (const { rttMs } of rooms.tunnels.all()) {
        if (rttMs !== undefined) metrics.observe('ping_rtt_seconds', rttMs / 1_000);
      }
    }, sampleMs).unref();
    if (!write) return;
    this.#lines = new MinuteLines({ metrics, write, now, onLine: () => this.#eventLoop.restart() });
  }

  /** Writes the last line. */
  close(): void {
    clearInterval(this.#sampling);
    this.#lines?.close();
    this.#eventLoop.close();
    this.#server.close();
  }

  readonly #onDirectoryError = (operation: string): void =>
    this.#metrics.count('directory_errors', { value: operation });
}
