type Options = {
  /** Handshakes begun, waiting to begin or being judged; beyond: refused. */
  readonly maxInFlight: number;
  /** How many may begin in each interval. */
  readonly startsPerInterval: number;
  readonly intervalMs: number;
};

export const defaultPace: Options = { maxInFlight: 2048, startsPerInterval: 4, intervalMs: 10 };

/**
 * Spreads handshakes out. A full one costs about 1 ms of the main thread (tunnel.md 4); after a deploy every cluster
 * comes at once, and live streams must not wait for them. 4 in 10 ms leave more than half of the thread to others.
 */
export class HandshakePace {
  readonly #options: Options;
  readonly #waiting: (() => void)[] = [];
  #inFlight = 0;
  #left: number;
  #refilling = false;

  constructor(options: Options = defaultPace) {
    this.#options = options;
    this.#left = options.startsPerInterval;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Calls `start` when it is its turn; false when there are too many. Every true needs one leave(). */
  enter(start: () => void): boolean {
    if (this.#inFlight >= this.#options.maxInFlight) return false;
    this.#inFlight += 1;
    this.#waiting.push(start);
    this.#begin();
    return true;
  }

  leave(): void {
    this.#inFlight -= 1;
  }

  #begin(): void {
    while (this.#left > 0) {
      const start = this.#waiting.shift();
      if (!start) return;
      this.#left -= 1;
      this.#refillLater();
      start();
    }
  }

  #refillLater(): void {
    if (this.#refilling) return;
    this.#refilling = true;
    setTimeout(() => {
      this.#refilling = false;
      this.#left = this.#options.startsPerInterval;
      this.#begin();
    }, this.#options.intervalMs);
  }
}
