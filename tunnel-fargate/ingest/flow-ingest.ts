import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Logger } from 'pino';
import { Problem } from '../../core/problem/problem.ts';
import type { ByteBudget } from './byte-budget.ts';
import { type FlowBody, readFlowBody } from './flow-body.ts';
import { flowDate } from './flow-date.ts';
import type { RejectReason } from './flow-line.ts';
import type { LogRepository } from './log-repository.ts';
import { OwedUploads } from './owed-uploads.ts';
import { RecentFlows } from './recent-flows.ts';
import type { RejectedLines } from './rejected-lines.ts';
import { UploadTrace } from './upload-trace.ts';
import { UploadTurns } from './upload-turns.ts';

/** Who sends: as the tunnel's certificate says. No header of a request is asked. */
export type LogSource = { readonly tenantId: string; readonly clusterId: string };

/** How an upload ended. A closed set: it labels metrics. The first three are answered 200. */
export const uploadOutcomes = [
  'stored',
  'repeated',
  'empty',
  'held',
  'no-memory',
  'store-failed',
  'too-large',
  'too-slow',
  'cut',
  'failed',
] as const;
export type UploadOutcome = (typeof uploadOutcomes)[number];

/** One upload, for metrics. */
export type UploadReport = {
  readonly outcome: UploadOutcome;
  /** Of the body, that came. */
  readonly bytes: number;
  /** What became of the lines; of uploads that were answered 200 only, each line once. */
  readonly stored: number;
  readonly repeated: number;
  readonly rejected: Readonly<Partial<Record<RejectReason, number>>>;
};

export type FlowIngestOptions = {
  readonly logs: Pick<LogRepository, 'put'>;
  readonly budget: ByteBudget;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Called once for each upload. */
  readonly onUpload?: (report: UploadReport) => void;
  /** Of one POST, uncompressed. */
  readonly maxBodyBytes?: number;
  readonly maxLineBytes?: number;
  /** From the head of a POST to its last byte, ms. */
  readonly uploadTimeoutMs?: number;
  readonly recent?: RecentFlows;
  readonly owed?: OwedUploads;
};

export type Upload = {
  /** Rejects when the sender goes away. */
  readonly chunks: AsyncIterable<Buffer>;
  /** Content-Length. */
  readonly declaredBytes?: number | undefined;
};

const compress = promisify(gzip);

/**
 * Stores what Goldmane sends (docs/ingest.md): each flow once, lines that are no flows apart, an acknowledgement only
 * when all of it is in S3 and no older upload of the cluster is owed.
 */
export class FlowIngest {
  readonly #options: FlowIngestOptions;
  readonly #recent: RecentFlows;
  readonly #owed: OwedUploads;
  readonly #turns = new UploadTurns();

  constructor(options: FlowIngestOptions) {
    this.#options = options;
    this.#recent = options.recent ?? new RecentFlows();
    this.#owed = options.owed ?? new OwedUploads();
  }

  /**
   * Resolves when the upload may be acknowledged. Rejects with Problem PAYLOAD_TOO_LARGE; UNAVAILABLE when S3 fails, memory
   * is used up or an older upload is owed; TIMEOUT when it comes too slowly; and with the sender's error when it is cut.
   * After all of these but the first, newer uploads of the cluster are refused until this one has been sent again.
   */
  async take({ chunks, declaredBytes }: Upload, source: LogSource): Promise<void> {
    const { budget, logger, onUpload = () => undefined } = this.#options;
    const { clusterId } = source;
    const trace = new UploadTrace(declaredBytes);
    const turn = this.#turns.begin(clusterId, trace);
    const reservation = budget.reserve(clusterId);
    let outcome: UploadOutcome = 'cut';
    let counted: Pick<UploadReport, 'stored' | 'repeated' | 'rejected'> = nothing;
    try {
      let body: FlowBody;
      try {
        body = await readFlowBody(chunks, this.#reading(clusterId, trace, reservation));
      } catch (error) {
        outcome = outcomeOf(error);
        if (outcome !== 'too-large') this.#failed(clusterId, trace);
        turn.gone();
        throw error;
      }
      outcome = 'failed';
      await turn.read(async () => {
        try {
          [outcome, counted] = await this.#decide(body, trace, source);
        } catch (error) {
          outcome = error instanceof Refusal ? error.outcome : 'failed';
          this.#failed(clusterId, trace);
          throw error;
        }
      });
    } finally {
      reservation.release();
      onUpload({ outcome, bytes: trace.size, ...counted });
      logger.debug({ ...named(source), outcome, bytes: trace.size, ...counted }, 'upload');
    }
  }

  /** In the cluster's turn: no other upload of it is being decided. */
  async #decide(body: FlowBody, trace: UploadTrace, source: LogSource) {
    const { now } = this.#options;
    const { clusterId } = source;
    const { identities, rejected, repeated, sha256 } = body;
    const bodySha256 = trace.sha256 ?? sha256;
    if (this.#owed.holdsBack(clusterId, trace, now())) {
      throw new Refusal('held', 'An older upload of this cluster has to be stored first.', 30);
    }
    const known = identities.filter((identity) => this.#recent.has(clusterId, identity)).length;
    // Some were stored by another upload while this one was read. The next attempt finds them before it compresses.
    if (known > 0 && known < identities.length) {
      throw new Refusal('held', 'Another upload with some of these flows has just been stored.', 1);
    }
    const newRejects = rejected.total > 0 && !this.#recent.hasBody(clusterId, bodySha256);
    const newFlows = identities.length > 0 && known === 0;
    if (newRejects) await this.#setAside(rejected, bodySha256, body.start, source);
    // Last, so that no failure leaves flows in S3 that are not remembered here.
    if (newFlows) await this.#put(source, 'flows', { sha256, start: body.start, bytes: body.compressed });
    const empty = identities.length + repeated + rejected.total === 0;
    if (!empty) this.#recent.add({ clusterId, sha256: bodySha256, identities: newFlows ? identities : [] });
    this.#owed.settled(clusterId, trace, now());
    const counted = {
      stored: newFlows ? identities.length : 0,
      repeated: repeated + known,
      rejected: newRejects ? rejected.counts : {},
    };
    if (newFlows || newRejects) return ['stored', counted] as const;
    return [empty ? 'empty' : 'repeated', counted] as const;
  }

  async #setAside(rejected: RejectedLines, upload: string, start: number | undefined, source: LogSource) {
    const document = rejected.document(upload);
    const sha256 = createHash('sha256').update(document).digest('hex');
    await this.#put(source, 'flows-rejected', { sha256, start, bytes: await compress(document) });
    const line = { ...named(source), rejected: rejected.total, reasons: rejected.counts, object: sha256 };
    this.#options.logger.warn(line, 'lines that are no flows were set aside');
  }

  async #put(
    source: LogSource,
    kind: 'flows' | 'flows-rejected',
    { sha256, start, bytes }: { sha256: string; start: number | undefined; bytes: Buffer },
  ): Promise<void> {
    const { logs, now } = this.#options;
    const object = { ...named(source), kind, date: flowDate(start, now()), sha256, body: bytes };
    await logs.put(object).catch((cause: unknown) => {
      throw new Refusal('store-failed', 'The logs could not be stored.', 5, cause);
    });
  }

  #reading(clusterId: string, trace: UploadTrace, reservation: ReturnType<ByteBudget['reserve']>) {
    const {
      now,
      maxBodyBytes = 67_108_864,
      maxLineBytes = 262_144,
      uploadTimeoutMs = 300_000,
    } = this.#options;
    const until = now() + uploadTimeoutMs;
    return {
      trace,
      reservation,
      maxBodyBytes,
      maxLineBytes,
      isStored: (identity: string) => this.#recent.has(clusterId, identity),
      checkTime: () => {
        if (now() > until) {
          throw new Problem('TIMEOUT', `The upload took longer than ${uploadTimeoutMs / 1_000} s.`);
        }
      },
    };
  }

  #failed(clusterId: string, trace: UploadTrace): void {
    const { logger, now } = this.#options;
    if (!this.#owed.failed(clusterId, trace, now())) {
      logger.error(
        { clusterId },
        'too many uploads failed to keep their order: the sender may skip this one',
      );
    }
  }
}

const nothing = { stored: 0, repeated: 0, rejected: {} };

/** For log lines: a source may have more members, or have them as getters. */
const named = ({ tenantId, clusterId }: LogSource): LogSource => ({ tenantId, clusterId });

/** Refused for now: the sender is to send the same again. */
class Refusal extends Problem {
  readonly outcome: UploadOutcome;

  constructor(outcome: UploadOutcome, detail: string, retryAfterSeconds: number, cause?: unknown) {
    super('UNAVAILABLE', detail, { headers: { 'Retry-After': String(retryAfterSeconds) }, cause });
    this.outcome = outcome;
  }
}

function outcomeOf(error: unknown): UploadOutcome {
  if (!(error instanceof Problem)) return 'cut';
  if (error.code === 'PAYLOAD_TOO_LARGE') return 'too-large';
  return error.code === 'TIMEOUT' ? 'too-slow' : 'no-memory';
}
