import { violation } from './error.ts';

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

/**
 * What we still allow the peer to send on a stream, bytes. `unread` is what arrived and has not been read:
 * allowance + unread never exceeds the capacity, so a stream holds at most its capacity in memory.
 */
export class ReceiveWindow {
  readonly #capacity: number;
  #limit = INITIAL_WINDOW;
  #allowance = INITIAL_WINDOW;

  /** @param capacity bytes, INITIAL_WINDOW … MAX_WINDOW; anything above the initial is granted by open(). */
  constructor(capacity: number) {
    this.#capacity = windowCapacity(capacity);
  }

  get allowance(): number {
    return this.#allowance;
  }

  /** Widens the window to its capacity; the next topUp() carries the difference (with our SYN or ACK). */
  open(): void {
    this.#limit = this.#capacity;
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
    return this.#missing(unread) >= this.#limit / 2;
  }

  /** Gives back all that was read; returns the delta for the window update, 0 for none. */
  topUp(unread: number): number {
    const delta = this.#missing(unread);
    this.#allowance += delta;
    return delta;
  }

  #missing(unread: number): number {
    // An application may unshift() more than it was given.
    return Math.max(0, this.#limit - this.#allowance - unread);
  }
}
