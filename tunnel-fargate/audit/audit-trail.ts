import type { Logger } from 'pino';
import type { AuditFacts } from '../../core/audit/audit-record.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { AuditRepository } from './audit-repository.ts';
import { type AuditBatchLimits, type AuditTiming, TenantTrail } from './tenant-trail.ts';

/** How much may wait in memory while S3 does not take it, bytes. */
export type AuditMemory = { readonly tenantBytes: number; readonly totalBytes: number };

export type AuditOptions = {
  readonly sink: Pick<AuditRepository, 'put'>;
  /** Of this task; new with every start. */
  readonly taskId: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly logger: Pick<Logger, 'info' | 'error'>;
  readonly timing?: Partial<AuditTiming & { readonly dayTurnMs: number }>;
  readonly batch?: Partial<AuditBatchLimits>;
  readonly memory?: Partial<AuditMemory>;
};

/** The room of one request in the trail. */
export type AuditEntry = {
  /** Says that a request which may go on for hours has begun. */
  open(facts: AuditFacts): void;
  /** Says how it ended, and gives the room back; the first call counts. */
  end(facts: AuditFacts): void;
};

/** Some 16,000 records wait for a tenant, some 130,000 for all. */
export const defaultAuditMemory: AuditMemory = {
  totalBytes: 128 * 1024 * 1024,
  tenantBytes: 16 * 1024 * 1024,
};

/** What a running request holds free for its last record, bytes; most take a third of it. */
export const reservedBytes = 2_048;

const defaultTiming = { batchMs: 5_000, retryMs: 1_000, maxRetryMs: 30_000, dayTurnMs: 60_000 };
const defaultBatch: AuditBatchLimits = { records: 1_000, bytes: 256 * 1024 };
const retryAfterSeconds = 5;

/**
 * Who did what, per tenant a chain of records in S3 (docs/audit.md). No record is ever dropped: each request reserves
 * the room of its record before it goes on, and without room it is refused.
 */
export class AuditTrail {
  readonly #options: AuditOptions;
  readonly #memory: AuditMemory;
  /** Never emptied: a chain that was forgotten could not go on. About 1 KB per tenant that has asked anything. */
  readonly #trails = new Map<string, TenantTrail>();
  readonly #reserved = new Map<string, number>();
  readonly #dayTurn: ReturnType<typeof setInterval>;
  #bytes = 0;
  #running = 0;
  #onAllEnded: (() => void) | undefined;
  #closed = false;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#memory = { ...defaultAuditMemory, ...options.memory };
    this.#dayTurn = setInterval(() => {
      for (const trail of this.#trails.values()) trail.turnDay();
    }, options.timing?.dayTurnMs ?? defaultTiming.dayTurnMs).unref();
  }

  /** What records and reservations hold in memory, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Tenants whose last object S3 did not take. */
  get failingTenants(): number {
    return [...this.#trails.values()].filter(({ failing }) => failing).length;
  }

  /** @throws Problem AUDIT_UNAVAILABLE when the tenant's memory, or everybody's, is full of what S3 has not taken */
  admit(tenantId: string): AuditEntry {
    const trail = this.#trailOf(tenantId);
    const reserved = this.#reserved.get(tenantId) ?? 0;
    const { tenantBytes, totalBytes } = this.#memory;
    if (
      trail.bytes + reserved + reservedBytes > tenantBytes ||
      this.#bytes + reservedBytes > totalBytes ||
      this.#closed
    ) {
      const problem = unavailable();
      this.countRefusal(tenantId, problem.code);
      throw problem;
    }
    this.#reserve(tenantId, reservedBytes);
    this.#running += 1;
    let [opened, ended] = [false, false];
    return {
      open: (facts) => {
        if (opened || ended) return;
        opened = true;
        trail.append('open', clipped(facts));
      },
      end: (facts) => {
        if (ended) return;
        ended = true;
        this.#reserve(tenantId, -reservedBytes);
        trail.append(opened ? 'end' : 'request', clipped(facts));
        this.#running -= 1;
        if (this.#running === 0) this.#onAllEnded?.();
      },
    };
  }

  /** For requests that change something. @throws Problem AUDIT_UNAVAILABLE while S3 does not take the tenant's records */
  assertTakesChanges(tenantId: string): void {
    if (this.#trails.get(tenantId)?.failing === true) throw unavailable();
  }

  /** A request that was refused before it had room for a record of its own. */
  countRefusal(tenantId: string, code: string): void {
    if (!this.#closed) this.#trailOf(tenantId).countRefusal(code);
  }

  /**
   * Ends every chain with its marker, once the requests that run have ended, and resolves when all is in S3 or after
   * `deadlineMs`; then what is lost is logged.
   */
  async close(deadlineMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#dayTurn);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const deadline = new Promise<void>((resolve) => (timer = setTimeout(resolve, deadlineMs)));
    await Promise.race([this.#allEnded(deadlineMs / 2), deadline]);
    await Promise.race([Promise.all([...this.#trails.values()].map((trail) => trail.close())), deadline]);
    clearTimeout(timer);
    for (const [tenantId, trail] of this.#trails) {
      const records = trail.stop();
      if (records > 0) {
        this.#options.logger.error({ event: 'audit lost', tenantId, records }, 'audit records are lost');
      }
    }
  }

  /** The access side has ended all by now; what it has not, is recorded too late or never. */
  #allEnded(ms: number): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onAllEnded = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #trailOf(tenantId: string): TenantTrail {
    const known = this.#trails.get(tenantId);
    if (known) return known;
    const { sink, taskId, now, logger, timing, batch } = this.#options;
    const trail = new TenantTrail({
      tenantId,
      taskId,
      now,
      put: (object) => sink.put(object),
      timing: { ...defaultTiming, ...timing },
      batch: { ...defaultBatch, ...batch },
      onHead: (head) => logger.info({ event: 'audit head', tenantId, ...head }, 'audit head'),
      onBytes: (bytes) => void (this.#bytes += bytes),
      onFailing: (error) => {
        if (error === undefined) logger.info({ event: 'audit recovered', tenantId }, 'audit recovered');
        else logger.error({ event: 'audit failing', tenantId, err: error }, 'audit records wait: S3 fails');
      },
    });
    this.#trails.set(tenantId, trail);
    return trail;
  }

  #reserve(tenantId: string, bytes: number): void {
    const reserved = (this.#reserved.get(tenantId) ?? 0) + bytes;
    if (reserved === 0) this.#reserved.delete(tenantId);
    else this.#reserved.set(tenantId, reserved);
    this.#bytes += bytes;
  }
}

const unavailable = (): Problem =>
  new Problem('AUDIT_UNAVAILABLE', undefined, { headers: { 'Retry-After': String(retryAfterSeconds) } });

const longest: Readonly<Record<string, number>> = { path: 512 };

/** Names in requests have no limit of their own; Kubernetes' have (253 characters). */
function clipped(facts: AuditFacts): AuditFacts {
  const cut: Record<string, string> = {};
  for (const [name, value] of Object.entries(facts)) {
    const limit = longest[name] ?? 253;
    if (typeof value === 'string' && value.length > limit) cut[name] = value.slice(0, limit);
  }
  return Object.keys(cut).length === 0 ? facts : { ...facts, ...cut, clipped: true };
}
