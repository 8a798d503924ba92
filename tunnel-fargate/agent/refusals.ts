import type { Duplex } from 'node:stream';
import { endTransport } from '../yamux/transport.ts';

type Options = {
  /** How long a refused peer waits for its end, ms. */
  readonly delayMs: number;
  /** Refused peers that wait at once; beyond, the oldest is let go early. */
  readonly maxParked: number;
  /** How long the end itself may take, ms. */
  readonly graceMs?: number;
};

export const defaultRefusals: Options = { delayMs: 5_000, maxParked: 1_000 };

/**
 * Peers whose certificate was refused. A refused Guardian believes that it is connected and comes back 2 s after its
 * end (guardian.md 2.4 rule 8), so the end is delayed; and it is a clean one, for up to v3.31 Guardian exits on any
 * other (rule 7). Nothing is read while one is parked: what it sends stays in its own buffers.
 */
export class Refusals {
  readonly #options: Options;
  readonly #parked = new Map<Duplex, ReturnType<typeof setTimeout>>();
  readonly #ending = new Set<Promise<void>>();

  constructor(options: Options = defaultRefusals) {
    this.#options = options;
  }

  get size(): number {
    return this.#parked.size;
  }

  park(socket: Duplex): void {
    if (socket.destroyed) return;
    const oldest =
      this.#parked.size >= this.#options.maxParked ? this.#parked.keys().next().value : undefined;
    if (oldest) this.#end(oldest);
    socket.pause();
    socket.once('close', () => this.#forget(socket));
    this.#parked.set(
      socket,
      setTimeout(() => this.#end(socket), this.#options.delayMs),
    );
  }

  /** Ends all that are parked and waits for it. */
  async close(): Promise<void> {
    for (const socket of [...this.#parked.keys()]) this.#end(socket);
    await Promise.all(this.#ending);
  }

  #end(socket: Duplex): void {
    this.#forget(socket);
    const ended = endTransport(socket, this.#options.graceMs ?? 2_000);
    this.#ending.add(ended);
    void ended.then(() => this.#ending.delete(ended));
  }

  #forget(socket: Duplex): void {
    clearTimeout(this.#parked.get(socket));
    this.#parked.delete(socket);
  }
}
