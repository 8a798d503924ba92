import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';

type Directory = Pick<TunnelDirectoryRepository, 'announce' | 'withdraw' | 'locate' | 'lease'>;

type Options = {
  readonly directory: Directory;
  readonly clusterId: string;
  /** Of the certificate that the session came with, lower-case hex SHA-256. */
  readonly fingerprint: string;
  readonly taskId: string;
  /** Newest wins; higher than every earlier one of this task. */
  readonly nonce: number;
  /** When the session began, epoch ms. */
  readonly since: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Pause before another try when the directory does not answer, ms. */
  readonly retryMs?: number;
  readonly logger: Logger;
  /** Another task, alive, has announced a newer session: ours is the one that Guardian has left. */
  readonly onSuperseded: () => void;
};

/**
 * The entry of one live tunnel in the directory. It is written until the directory takes it, for the tunnel serves
 * this task's users meanwhile, and withdrawn once, after the writing has ended.
 * Units: 1 write, 1 more to withdraw; 2 reads more when a newer nonce stands there.
 */
export class TunnelAnnouncement {
  readonly #options: Options;
  readonly #over = new AbortController();
  readonly #written: Promise<number | undefined>;
  #withdrawn: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#written = this.#write();
  }

  /** Never rejects: what cannot be withdrawn ends with the task's lease. */
  withdraw(): Promise<void> {
    return (this.#withdrawn ??= this.#withdraw());
  }

  /** The nonce that stands; undefined when none does. */
  async #write(): Promise<number | undefined> {
    const { clusterId, logger, retryMs = 1_000 } = this.#options;
    let nonce: number | undefined = this.#options.nonce;
    while (nonce !== undefined && !this.#over.signal.aborted) {
      try {
        const next: number | undefined = await this.#attempt(nonce);
        if (next === nonce) return nonce;
        nonce = next;
      } catch (error) {
        logger.warn({ err: error, clusterId }, 'the tunnel could not be announced; trying again');
        await delay(retryMs, undefined, { signal: this.#over.signal }).catch(() => undefined);
      }
    }
    return undefined;
  }

  /** The same nonce when it stands, a higher one to try, undefined when another session owns the cluster. */
  async #attempt(nonce: number): Promise<number | undefined> {
    const { directory, clusterId, fingerprint, taskId, since, now, onSuperseded } = this.#options;
    if (await directory.announce({ clusterId, fingerprint, taskId, nonce, now: since })) return nonce;
    const entry = await directory.locate(clusterId);
    if (!entry) return nonce + 1;
    // Our own write, whose answer was lost before the SDK tried again.
    if (entry.taskId === taskId) return entry.nonce === nonce ? nonce : undefined;
    if (entry.state === 'connected') {
      const lease = await directory.lease(entry.taskId);
      if (lease && lease.validUntil >= now()) {
        onSuperseded();
        return undefined;
      }
    }
    // What stands there is over: its task's clock was ahead of ours.
    return entry.nonce + 1;
  }

  async #withdraw(): Promise<void> {
    this.#over.abort();
    const { directory, clusterId, taskId, now, logger } = this.#options;
    try {
      const nonce = await this.#written;
      if (nonce !== undefined) await directory.withdraw({ clusterId, taskId, nonce, now: now() });
    } catch (error) {
      logger.warn({ err: error, clusterId }, 'the tunnel could not be withdrawn');
    }
  }
}

/** Nonces of one task: its clock's time, and always higher than the one before. */
export function monotonicNonce(now: () => number): () => number {
  let last = 0;
  return () => (last = Math.max(last + 1, now()));
}
