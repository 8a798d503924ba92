import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type AuditFacts, type AuditPhase, genesis, seal } from '../../core/audit/audit-record.ts';
import type { AuditObject } from './audit-repository.ts';

export type AuditTiming = {
  /** A record waits so long for others before they are put together, ms. */
  readonly batchMs: number;
  /** Between attempts to put the same object: the first pause and, doubled each time, the longest, ms. */
  readonly retryMs: number;
  readonly maxRetryMs: number;
};

export type AuditBatchLimits = { readonly records: number; readonly bytes: number };

type Dependencies = {
  readonly tenantId: string;
  readonly taskId: string;
  readonly put: (object: AuditObject) => Promise<void>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly timing: AuditTiming;
  readonly batch: AuditBatchLimits;
  /** Memory taken (bytes) or given back (negative). */
  readonly onBytes: (bytes: number) => void;
  /** The first failure of a put after a good one; undefined: it is over. */
  readonly onFailing: (error: unknown) => void;
  /** A day or the chain has ended with this record: to be kept where nobody who reaches the bucket does. */
  readonly onHead: (head: { seq: number; date: string; hash: string }) => void;
};

/** Consecutive records of one day. Once put together, its bytes stay the same however often they are sent. */
type Batch = {
  readonly date: string;
  readonly firstSeq: number;
  /** Empty once there is a body. */
  lines: string[];
  records: number;
  bytes: number;
  body?: Buffer;
};

const gzipped = promisify(gzip);

/** The chain of one tenant at this task, and what of it is not in S3 yet: put in order, one object at a time. */
export class TenantTrail {
  readonly #deps: Dependencies;
  #seq = 0;
  #prev: string;
  #time = 0;
  /** The day that is begun and not ended. */
  #day: string | undefined;
  #open: Batch | undefined;
  readonly #closed: Batch[] = [];
  readonly #refusals = new Map<string, number>();
  #bytes = 0;
  #failures = 0;
  #putting = false;
  #closing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #idle: (() => void)[] = [];

  constructor(deps: Dependencies) {
    this.#deps = deps;
    this.#prev = genesis(deps.tenantId, deps.taskId);
  }

  /** What waits in memory, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The last put failed. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  append(phase: AuditPhase, facts: AuditFacts = {}): void {
    this.#time = Math.max(this.#time, this.#deps.now());
    const date = dateOf(this.#time);
    if (this.#day !== date) {
      this.#endDay();
      this.#day = date;
      this.#add('day-start', date);
    }
    this.#add(phase, date, facts);
    if (this.#open && this.#isFull(this.#open)) this.#flush();
    else this.#wake(this.#deps.timing.batchMs);
  }

  /** Counts a request that was refused unread; the next object says how many. */
  countRefusal(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
    this.#wake(this.#deps.timing.batchMs);
  }

  /** Ends a day that is over though nothing more was asked. */
  turnDay(): void {
    if (this.#day === undefined || dateOf(this.#deps.now()) <= this.#day) return;
    this.#endDay();
    this.#wake(this.#deps.timing.batchMs);
  }

  /** Ends the chain and resolves when all of it is in S3. It tries on until then, without long pauses; the caller sets a limit. */
  async close(): Promise<void> {
    if (this.#refusals.size > 0) this.#sumUp();
    if (this.#seq > 0) this.append('closed');
    this.#closing = true;
    this.#cut();
    void this.#putAll();
    if (this.#closed.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Stops trying. Resolves nothing: what is not in S3 is lost. */
  stop(): number {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return [...this.#closed, ...(this.#open ? [this.#open] : [])].reduce(
      (sum, { records }) => sum + records,
      0,
    );
  }

  #endDay(): void {
    const day = this.#day;
    if (day === undefined) return;
    // Its own moment is later, perhaps much: the marker's time is the end of the day that it ends.
    const end = `${day}T23:59:59.999Z`;
    this.#add('day-end', day, {}, end);
    // Nor does a clock that is set back begin that day again.
    this.#time = Math.max(this.#time, Date.parse(end) + 1);
    this.#cut();
    this.#day = undefined;
  }

  #sumUp(): void {
    const counted = [...this.#refusals];
    this.#refusals.clear();
    for (const [code, count] of counted) this.append('refusals', { decision: 'refused', code, count });
  }

  #add(
    phase: AuditPhase,
    date: string,
    facts: AuditFacts = {},
    time = new Date(this.#time).toISOString(),
  ): void {
    const { tenantId, taskId, onBytes } = this.#deps;
    this.#seq += 1;
    const head = { v: 1, seq: this.#seq, time, phase, tenantId, taskId } as const;
    const record = seal({ ...head, ...facts, prev: this.#prev });
    this.#prev = record.hash;
    if (phase === 'day-end' || phase === 'closed') {
      this.#deps.onHead({ seq: record.seq, date, hash: record.hash });
    }
    const line = JSON.stringify(record);
    this.#open ??= { date, firstSeq: this.#seq, lines: [], records: 0, bytes: 0 };
    this.#open.lines.push(line);
    this.#open.records += 1;
    const bytes = Buffer.byteLength(line) + 1;
    this.#open.bytes += bytes;
    this.#bytes += bytes;
    onBytes(bytes);
  }

  #isFull({ records, bytes }: Batch): boolean {
    return records >= this.#deps.batch.records || bytes >= this.#deps.batch.bytes;
  }

  #cut(): void {
    if (!this.#open) return;
    this.#closed.push(this.#open);
    this.#open = undefined;
  }

  #flush(): void {
    this.#cut();
    // What fails is tried again when its pause is over, not whenever there is more.
    if (this.#failures === 0) void this.#putAll();
  }

  #wake(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // While S3 fails, a number takes less memory than records.
      if (this.#refusals.size > 0 && this.#failures === 0) this.#sumUp();
      this.#cut();
      void this.#putAll();
    }, ms).unref();
  }

  async #putAll(): Promise<void> {
    if (this.#putting) return;
    this.#putting = true;
    const { tenantId, taskId, put, onBytes, onFailing, timing } = this.#deps;
    for (let batch = this.#closed[0]; batch; batch = this.#closed[0]) {
      const { date, firstSeq } = batch;
      try {
        batch.body ??= await gzipped(`${batch.lines.join('\n')}\n`);
        batch.lines = [];
        await put({ tenantId, taskId, date, firstSeq, body: batch.body });
      } catch (error) {
        if (this.#failures === 0) onFailing(error);
        clearTimeout(this.#timer);
        this.#timer = undefined;
        const factor = this.#closing ? 1 : 2 ** Math.min(this.#failures, 20);
        this.#wake(Math.min(timing.retryMs * factor, timing.maxRetryMs));
        this.#failures += 1;
        break;
      }
      if (this.#failures > 0) onFailing(undefined);
      this.#failures = 0;
      this.#closed.shift();
      this.#bytes -= batch.bytes;
      onBytes(-batch.bytes);
    }
    this.#putting = false;
    if (this.#closed.length > 0) return;
    if (this.#refusals.size > 0) this.#wake(timing.batchMs);
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }
}

const dateOf = (time: number): string => new Date(time).toISOString().slice(0, 10);
