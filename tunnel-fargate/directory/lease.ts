import type { Logger } from 'pino';
import type { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';

type Options = {
  readonly directory: Pick<TunnelDirectoryRepository, 'renewLease'>;
  readonly taskId: string;
  /** host:port for other tasks; empty as long as there is no forwarding between tasks. */
  readonly address: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly renewMs?: number;
  readonly validMs?: number;
  readonly logger: Logger;
};

/**
 * The task's lease: all entries of its tunnels hold as long as it does (design.md 9), so that a task that dies without
 * a word takes them with it. Renewed every 5 s for 15 s: two renewals may fail. Units: 1 write per renewal.
 */
export class TaskLeaseKeeper {
  readonly #options: Options;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Takes the lease and keeps it. Rejects when the first write fails: without a directory no cluster can be known. */
  async start(): Promise<void> {
    await this.#renew();
    this.#schedule();
  }

  /** Gives the lease up: what was not withdrawn ends now. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#renewing;
    const { directory, taskId, address, now, logger } = this.#options;
    try {
      await directory.renewLease({ taskId, address, validUntil: now() });
    } catch (error) {
      logger.warn({ err: error }, 'the lease could not be given up; it ends by itself');
    }
  }

  #renew(): Promise<void> {
    const { directory, taskId, address, now, validMs = 15_000 } = this.#options;
    return directory.renewLease({ taskId, address, validUntil: now() + validMs });
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew()
        .catch((error: unknown) =>
          this.#options.logger.error({ err: error }, 'the lease could not be renewed'),
        )
        .finally(() => this.#schedule());
    }, this.#options.renewMs ?? 5_000);
  }
}
