import QuickLRU from 'quick-lru';

type Options = {
  /** How long an answer holds, ms. */
  readonly ttlMs: number;
  /** The least recently used ones beyond about this many go. */
  readonly maxSize: number;
  readonly now: () => number;
};

/**
 * Remembers good answers for a few seconds and asks once for concurrent callers. Failures, and answers that `keep`
 * refuses, are not remembered beyond the call that got them.
 */
export class ShortLivedCache<Value> {
  readonly #entries: QuickLRU<string, { until: number; value: Promise<Value> }>;
  readonly #ttlMs: number;
  readonly #now: () => number;

  constructor({ ttlMs, maxSize, now }: Options) {
    this.#entries = new QuickLRU({ maxSize });
    this.#ttlMs = ttlMs;
    this.#now = now;
  }

  get(key: string, load: () => Promise<Value>, keep: (value: Value) => boolean = () => true): Promise<Value> {
    const cached = this.#entries.get(key);
    if (cached && this.#now() < cached.until) return cached.value;
    const forget = () => {
      if (this.#entries.peek(key) === entry) this.#entries.delete(key);
    };
    // The time runs from the question: an answer is never older than ttlMs, however long it took.
    const entry = { until: this.#now() + this.#ttlMs, value: load() };
    this.#entries.set(key, entry);
    entry.value.then((value) => keep(value) || forget(), forget);
    return entry.value;
  }
}
