import { violation } from './error.ts';
import type { WindowBudget } from './window-budget.ts';

/** Every stream starts with this credit in both directions, bytes (spec, "Flow Control"). */
export const INITIAL_WINDOW = 262_144;

/** Credit is counted in 32 bits. */
export const MAX_WINDOW = 2 ** 32 - 1;

/** Checks a receive window size, bytes. Throws RangeError outside INITIAL_WINDOW … MAX_WINDOW. */
export function windowCapacity(bytes: number): number {
  if (Number.isInteger(bytes) && bytes >= INITIAL_WINDOW && bytes <= MAX_WINDOW) return bytes;
  throw new RangeError(`a receive window has ${INITIAL_WINDOW} to ${MAX_WINDOW} bytes, not ${bytes}`);
}

/** What the peer still allows us to send on a stream, bytes. */
export class SendWindow {
  #available = INITIAL_WINDOW;

  get available(): number {
    return this.#available;
  }

  take(bytes: number): void {
    if (bytes > this.#available)
      throw new RangeError(`${bytes} bytes exceed the send window ${this.#available}`);
    this.#available -= bytes;
  }

  /** The peer's window update. Throws WINDOW_OVERFLOW beyond 2^32-1. */
  add(delta: number): void {
    if (this.#available + delta > MAX_WINDOW) {
      throw violation('WINDOW_OVERFLOW', `window update of ${delta} on top of ${this.#available}`);
    }
    this.#available += delta;
  }
}

/** A window that gives back its half within so many round trips is what holds its sender up. */
const GROWTH_ROUND_TRIPS = 4;

/**
 * The size of a receive window after an update: doubled when less than four round trips have passed since the update
 * before, which is when the window and not the path is what limits the stream.
 * @param sinceUpdateMs undefined: there was none before. @param rttMs undefined: not measured.
 */
export function grownCapacity(
  capacity: number,
  max: number,
  sinceUpdateMs: number | undefined,
  rttMs: number | undefined,
): number {
  if (sinceUpdateMs === undefined || rttMs === undefined) return capacity;
  return sinceUpdateMs < GROWTH_ROUND_TRIPS * rttMs
    ? Math.max(capacity, Math.min(max, capacity * 2))
    : capacity;
}

/** The size of a receive window of which memory is wanted back: half, but never less than the protocol promises. */
export function shrunkCapacity(capacity: number): number {
  return Math.max(INITIAL_WINDOW, Math.floor(capacity / 2));
}

/** What the receive windows of one session have in common. */
export type WindowPolicy = {
  /** Size once the stream is up, if the budget has it, bytes. */
  readonly start: number;
  /** Size that a window may grow to, bytes; no growth when it is not above `start`. */
  readonly max: number;
  readonly budget: WindowBudget;
  /** Monotonic clock, ms. */
  readonly now: () => number;
  /** Shortest round trip of the session, ms; undefined: not measured. */
  readonly rttMs: () => number | undefined;
};

/**
 * What we still allow the peer to send on a stream, bytes. `unread` is what arrived and has not been read.
 * allowance + unread never exceeds what was taken from the budget, so a stream holds no more than that in memory.
 */
export class ReceiveWindow {
  readonly #policy: WindowPolicy;
  /** The size we aim at: credit is given back up to it. */
  #capacity = INITIAL_WINDOW;
  #allowance = INITIAL_WINDOW;
  /** Taken from the budget: the capacity, and after a shrink the credit above it until it is used up. */
  #reserved = INITIAL_WINDOW;
  #updatedAt: number | undefined;

  /** The window of a new stream, paid for; undefined when the budget is used up. */
  static within(policy: WindowPolicy): ReceiveWindow | undefined {
    return policy.budget.take(INITIAL_WINDOW) ? new ReceiveWindow(policy) : undefined;
  }

  private constructor(policy: WindowPolicy) {
    this.#policy = policy;
  }

  get allowance(): number {
    return this.#allowance;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Widens the window to its starting size; the next topUp() carries the difference (with our SYN or ACK). */
  open(): void {
    this.#widen(this.#policy.start);
  }

  /** Judges a declared length before a byte of it is read. Throws RECV_WINDOW_EXCEEDED. */
  check(length: number): void {
    if (length > this.#allowance) {
      throw violation('RECV_WINDOW_EXCEEDED', `${length} bytes declared, ${this.#allowance} allowed`);
    }
  }

  /** Bytes that arrived; their frame passed check(). */
  receive(bytes: number): void {
    this.#allowance -= bytes;
  }

  /** True once half of the window could be given back: fewer, larger updates. */
  isDue(unread: number): boolean {
    return this.#missing(unread) >= this.#capacity / 2;
  }

  /** Gives back all that was read; returns the delta for the window update, 0 for none. */
  topUp(unread: number): number {
    const delta = this.#missing(unread);
    this.#allowance += delta;
    return delta;
  }

  /** The same for an update that is due, which is the time to grow or to shrink. */
  renew(unread: number): number {
    const { budget, now, max, rttMs } = this.#policy;
    if (this.#capacity > INITIAL_WINDOW && budget.wantsBack(this.#capacity)) {
      this.#capacity = shrunkCapacity(this.#capacity);
      this.#updatedAt = undefined;
    } else if (this.#capacity < max) {
      const time = now();
      const since = this.#updatedAt === undefined ? undefined : time - this.#updatedAt;
      this.#widen(grownCapacity(this.#capacity, max, since, rttMs()));
      this.#updatedAt = time;
    }
    const delta = this.topUp(unread);
    this.#keep(Math.max(this.#capacity, this.#allowance + unread));
    return delta;
  }

  /** The peer has said its last: what is not read yet is all that will ever be. */
  end(unread: number): void {
    this.#keep(unread);
  }

  /** Nothing is kept in memory any more. May be called again. */
  release(): void {
    this.#keep(0);
  }

  #widen(capacity: number): void {
    // Credit from before a shrink may still be paid for.
    const more = capacity - Math.max(this.#capacity, this.#reserved);
    if (more > 0) {
      if (!this.#policy.budget.grow(more)) return;
      this.#reserved += more;
    }
    this.#capacity = Math.max(this.#capacity, capacity);
  }

  #keep(bytes: number): void {
    if (bytes >= this.#reserved) return;
    this.#policy.budget.give(this.#reserved - bytes);
    this.#reserved = bytes;
  }

  #missing(unread: number): number {
    // An application may unshift() more than it was given.
    return Math.max(0, this.#capacity - this.#allowance - unread);
  }
}
