/**
 * Memory that receive windows may promise to peers, bytes. Everything taken is given back: by whom a window is closed,
 * shrunk, or its stream destroyed.
 */
export type WindowBudget = {
  /** For the window that a new stream has by the protocol. False, and nothing taken, when it does not fit. */
  take(bytes: number): boolean;
  /** For a wider window, out of what is not kept for new streams. False, and nothing taken, when it does not fit. */
  grow(bytes: number): boolean;
  give(bytes: number): void;
  /** Whether a window of so many bytes should halve for the sake of others; to be asked before each of its updates. */
  wantsBack(capacity: number): boolean;
};

/** For a session whose peer is trusted, or whose streams are counted elsewhere. */
export const unboundedBudget: WindowBudget = {
  take: () => true,
  grow: () => true,
  give: () => undefined,
  wantsBack: () => false,
};

export type BoundedBudgetOptions = {
  /** Bytes. */
  readonly limit: number;
  /** Windows grow only as long as no more than this is in use, bytes; the rest is kept for new streams. Default: half. */
  readonly growthLimit?: number;
  /** What is taken here is taken there too, or not at all. */
  readonly parent?: BoundedBudget;
  /** The last byte was given back. */
  readonly onEmpty?: () => void;
};

/** A bound, and one of several below a larger one: of a session in its tenant's, of that in the process's. */
export class BoundedBudget implements WindowBudget {
  readonly #limit: number;
  readonly #growthLimit: number;
  /** From this one to the outermost. */
  readonly #levels: readonly BoundedBudget[];
  readonly #onEmpty: (() => void) | undefined;
  #inUse = 0;
  /** Bytes that a window was refused, and no larger one has made room for yet; 0: none. */
  #wanted = 0;

  constructor({ limit, growthLimit = Math.floor(limit / 2), parent, onEmpty }: BoundedBudgetOptions) {
    this.#limit = limit;
    this.#growthLimit = growthLimit;
    this.#onEmpty = onEmpty;
    this.#levels = parent === undefined ? [this] : [this, ...parent.#levels];
  }

  /** Bytes promised now; never above the limit. */
  get inUse(): number {
    return this.#inUse;
  }

  take(bytes: number): boolean {
    for (const level of this.#levels) if (level.#inUse + bytes > level.#limit) return false;
    this.#charge(bytes);
    return true;
  }

  grow(bytes: number): boolean {
    for (const level of this.#levels) {
      if (level.#inUse + bytes <= level.#growthLimit) continue;
      if (level.#wanted === 0 || bytes < level.#wanted) level.#wanted = bytes;
      return false;
    }
    this.#charge(bytes);
    return true;
  }

  give(bytes: number): void {
    this.#charge(-bytes);
    for (const level of this.#levels) {
      const onEmpty = level.#inUse === 0 ? level.#onEmpty : undefined;
      onEmpty?.();
    }
  }

  /**
   * True when new streams have taken what windows had grown by, and for one window more than twice as large as one that
   * was refused its growth: so that those who came late get their share, and two equals do not take turns for ever.
   */
  wantsBack(capacity: number): boolean {
    for (const level of this.#levels) {
      if (level.#inUse > level.#growthLimit) return true;
      if (level.#wanted === 0 || capacity <= level.#wanted * 2) continue;
      level.#wanted = 0;
      return true;
    }
    return false;
  }

  #charge(bytes: number): void {
    for (const level of this.#levels) level.#inUse += bytes;
  }
}
