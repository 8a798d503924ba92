import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createGzip } from 'node:zlib';
import { Problem } from '../../core/problem/problem.ts';
import type { Reservation } from './byte-budget.ts';
import { readFlow } from './flow-line.ts';
import { type Line, LineSplitter } from './line-splitter.ts';
import { RejectedLines } from './rejected-lines.ts';
import type { UploadTrace } from './upload-trace.ts';

/** A body as it will be stored: the flows of it that are new, each line as it came, one line feed between two. */
export type FlowBody = {
  /** Gzip of the lines. */
  readonly compressed: Buffer;
  /** Lower-case hex SHA-256 of the lines, uncompressed. */
  readonly sha256: string;
  /** Of each line, in order. */
  readonly identities: readonly string[];
  /** Of the first line, unix seconds. */
  readonly start: number | undefined;
  /** Lines left out because they are stored already, or came twice. */
  readonly repeated: number;
  readonly rejected: RejectedLines;
};

export type ReadOptions = {
  /** Noted as the body comes. */
  readonly trace: UploadTrace;
  readonly reservation: Reservation;
  readonly maxBodyBytes: number;
  readonly maxLineBytes: number;
  /** Called at each chunk; throws when the upload has taken too long. */
  readonly checkTime: () => void;
  /** Whether a flow is stored already. */
  readonly isStored: (identity: string) => boolean;
};

/** What deflate holds per stream (zlib.h: (1 << (windowBits + 2)) + (1 << (memLevel + 9))) and Node's chunks, bytes. */
const compressorBytes = 327_680;
/** What one flow's identity takes in a set and in a list, bytes. */
const identityBytes = 120;

/**
 * Reads a body, checking each line and compressing as it comes: only compressed bytes and identities are kept, and they
 * count against the budget. Rejects with Problem PAYLOAD_TOO_LARGE beyond `maxBodyBytes` (at once), UNAVAILABLE when the
 * budget is used up (after the rest has been read and dropped, because its hash is needed to know it again), and with
 * the sender's own error when it goes away.
 */
export async function readFlowBody(chunks: AsyncIterable<Buffer>, options: ReadOptions): Promise<FlowBody> {
  const { trace, maxBodyBytes, checkTime } = options;
  if ((trace.declaredBytes ?? 0) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  const hash = createHash('sha256');
  let reader: FlowReader | undefined = new FlowReader(options);
  try {
    for await (const chunk of chunks) {
      checkTime();
      if (trace.size + chunk.length > maxBodyBytes) throw tooLarge(maxBodyBytes);
      trace.came(chunk);
      hash.update(chunk);
      if (reader && !(await reader.push(chunk))) {
        reader.close();
        reader = undefined;
      }
    }
    trace.sha256 = hash.digest('hex');
    const body = await reader?.end();
    if (body) return body;
  } finally {
    reader?.close();
  }
  // Nothing may have been parsed: then the first flow tells which bucket it is.
  const [first] = new LineSplitter(trace.prefix.length).push(trace.prefix);
  const flow = first && readFlow(first.bytes);
  if (flow && typeof flow !== 'string') trace.sawEnd(flow.end);
  throw new Problem('UNAVAILABLE', 'Too many uploads at the same time.', { headers: { 'Retry-After': '5' } });
}

const tooLarge = (maxBytes: number) =>
  new Problem('PAYLOAD_TOO_LARGE', `At most ${maxBytes} bytes are taken at once.`);

const lineFeed = Buffer.from('\n');

/** Takes the lines of one body as long as the budget lasts. */
class FlowReader {
  readonly #options: ReadOptions;
  readonly #lines: LineSplitter;
  readonly #rejected = new RejectedLines();
  readonly #identities = new Set<string>();
  readonly #hash = createHash('sha256');
  readonly #gzip = createGzip();
  readonly #compressed: Buffer[] = [];
  #pending: Buffer[] = [];
  #lineCount = 0;
  #repeated = 0;
  #start: number | undefined;
  #reserved = 0;
  #gzipBytes = 0;
  #failure: Error | undefined;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#lines = new LineSplitter(options.maxLineBytes);
    this.#gzip.on('data', (chunk: Buffer) => {
      this.#compressed.push(chunk);
      this.#gzipBytes += chunk.length;
    });
    this.#gzip.on('error', (error) => (this.#failure = error));
  }

  /** False when there is no memory for it. */
  async push(chunk: Buffer): Promise<boolean> {
    if (!this.#reserve()) return false;
    for (const line of this.#lines.push(chunk)) this.#take(line);
    await this.#write();
    return this.#reserve();
  }

  /** Undefined when there is no memory for it. */
  async end(): Promise<FlowBody | undefined> {
    const last = this.#lines.end();
    if (last) this.#take(last);
    if (!this.#reserve()) return undefined;
    await this.#write();
    const ended = once(this.#gzip, 'end');
    this.#gzip.end();
    await ended;
    if (!this.#reserve()) return undefined;
    return {
      compressed: Buffer.concat(this.#compressed),
      sha256: this.#hash.digest('hex'),
      identities: [...this.#identities],
      start: this.#start,
      repeated: this.#repeated,
      rejected: this.#rejected,
    };
  }

  close(): void {
    this.#gzip.destroy();
  }

  #take(line: Line): void {
    this.#lineCount += 1;
    if (line.whole && isBlank(line.bytes)) return;
    const flow = line.whole ? readFlow(line.bytes) : 'too-long';
    if (typeof flow === 'string') {
      this.#rejected.add(line, this.#lineCount, flow);
      return;
    }
    this.#options.trace.sawEnd(flow.end);
    if (this.#identities.has(flow.identity) || this.#options.isStored(flow.identity)) {
      this.#repeated += 1;
      return;
    }
    if (this.#identities.size > 0) this.#pending.push(lineFeed);
    this.#identities.add(flow.identity);
    this.#start ??= flow.start;
    this.#pending.push(line.bytes);
  }

  async #write(): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#pending.length === 0) return;
    const lines = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#hash.update(lines);
    if (!this.#gzip.write(lines)) await once(this.#gzip, 'drain');
  }

  /** Takes from the budget what has been held more than before; the whole of it returns at the upload's end. */
  #reserve(): boolean {
    const held =
      compressorBytes +
      this.#gzipBytes +
      this.#identities.size * identityBytes +
      this.#lines.heldBytes +
      this.#rejected.heldBytes;
    if (held <= this.#reserved) return true;
    if (!this.#options.reservation.take(held - this.#reserved)) return false;
    this.#reserved = held;
    return true;
  }
}

const isBlank = (line: Buffer): boolean => line.length < 8 && line.toString('latin1').trim() === '';
