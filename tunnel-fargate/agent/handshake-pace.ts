type Options = {
  /** Handshakes begun, waiting to begin or being judged; beyond: refused. */
  readonly maxInFlight: number;
  /** Of these from one remote address; beyond: refused. */
  readonly maxPerAddress: number;
  /** How many may begin in each interval. */
  readonly startsPerInterval: number;
  readonly intervalMs: number;
};

export const defaultPace: Options = {
  maxInFlight: 2048,
  maxPerAddress: 64,
  startsPerInterval: 4,
  intervalMs: 10,
};

/**
 * Spreads handshakes out. A full one costs about 1 ms of the main thread (tunnel.md 4); after a deploy every cluster
 * comes at once, and live streams must not wait for them. 4 in 10 ms leave more than half of the thread to others.
 *
 * Bounded in all, and per address (the load balancer keeps the clients'), so that a host that connects and says nothing
 * takes few of the places and of the turns. Clusters behind one address share its bound: a handshake holds a place for
 * a fraction of a second, and who is refused dials again in 5 s (guardian.md 2.4).
 */
export class HandshakePace {
  readonly #options: Options;
  readonly #waiting: (() => void)[] = [];
  /** How many of each address are in flight; nobody with none, so it is bounded as they are. */
  readonly #ofAddress = new Map<string, number>();
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

  /** Calls `start` when it is its turn; false when there are too many. Every true needs one leave() of the same address. */
  enter(address: string, start: () => void): boolean {
    const { maxInFlight, maxPerAddress } = this.#options;
    const ofAddress = this.#ofAddress.get(address) ?? 0;
    if (this.#inFlight >= maxInFlight || ofAddress >= maxPerAddress) return false;
    this.#inFlight += 1;
    this.#ofAddress.set(address, ofAddress + 1);
    this.#waiting.push(start);
    this.#begin();
    return true;
  }

  leave(address: string): void {
    this.#inFlight -= 1;
    const left = (this.#ofAddress.get(address) ?? 0) - 1;
    if (left > 0) this.#ofAddress.set(address, left);
    else this.#ofAddress.delete(address);
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
