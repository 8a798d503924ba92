import { Problem } from '../../core/problem/problem.ts';
import type { PinnedTlsOptions } from './pinned-tls.ts';
import {
  openUpgrade,
  type UpgradeAnswer,
  type UpgradeOptions,
  type UpgradeRequest,
} from './upgrade-connection.ts';

/** Upgraded connections into one cluster at a time; each has a TLS connection and a yamux window of its own. */
export const maxUpgrades = 128;

/** The upgraded connections into one cluster: never shared, never used again, and bounded. */
export class UpgradeConnections {
  readonly #tls: PinnedTlsOptions;
  readonly #max: number;
  readonly #abort = new AbortController();
  #open = 0;

  constructor(tls: PinnedTlsOptions, max = maxUpgrades) {
    this.#tls = tls;
    this.#max = max;
  }

  /** Those that are open or being opened. */
  get size(): number {
    return this.#open;
  }

  async upgrade(wanted: UpgradeRequest, { signal, ...options }: UpgradeOptions): Promise<UpgradeAnswer> {
    if (this.#abort.signal.aborted) throw new Problem('CLUSTER_NOT_CONNECTED');
    if (this.#open >= this.#max) {
      throw new Problem('TOO_MANY_REQUESTS', `This cluster has ${this.#max} upgraded connections open.`, {
        headers: { 'Retry-After': '5' },
      });
    }
    this.#open += 1;
    const done = () => void (this.#open -= 1);
    try {
      const either = AbortSignal.any([signal, this.#abort.signal]);
      const answer = await openUpgrade(this.#tls, wanted, { ...options, signal: either });
      const stream = answer.kind === 'switched' ? answer.stream : answer.answer.socket;
      if (stream.destroyed) done();
      else stream.once('close', done);
      return answer;
    } catch (error) {
      done();
      throw error;
    }
  }

  /** No more; what is open is cut. */
  close(): void {
    this.#abort.abort(new Problem('CLUSTER_NOT_CONNECTED'));
  }
}
