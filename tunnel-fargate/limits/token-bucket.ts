type Options = {
  /** Tokens that come in a second; at least 1. */
  readonly perSecond: number;
  /** The most that are ever there: what may be taken at once after a quiet time. */
  readonly burst: number;
  /** The most that may be owed after charges; default: none. */
  readonly maxDebt?: number;
  /** Milliseconds, of a clock that may be set: going back counts as standing still. */
  readonly now: () => number;
};

/** A token bucket. Over any time of s seconds at most `burst + s × perSecond` are taken. */
export class TokenBucket {
  readonly #options: Options;
  #tokens: number;
  #at: number;

  constructor(options: Options) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#at = options.now();
  }

  /** Whether there was one, and took it. */
  take(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes what is used already, into debt if need be: it cannot be refused any more. */
  charge(tokens: number): void {
    this.#refill();
    this.#tokens = Math.max(this.#tokens - tokens, -(this.#options.maxDebt ?? 0));
  }

  /** ms until `take` succeeds if nobody takes any before; 0: now. */
  get waitMs(): number {
    this.#refill();
    return Math.max(0, Math.ceil(((1 - this.#tokens) * 1000) / this.#options.perSecond));
  }

  /** Whether it is as new: then it may be forgotten. */
  get full(): boolean {
    this.#refill();
    return this.#tokens >= this.#options.burst;
  }

  #refill(): void {
    const now = this.#options.now();
    const { perSecond, burst } = this.#options;
    if (now > this.#at) this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) * perSecond) / 1000);
    this.#at = now;
  }
}
