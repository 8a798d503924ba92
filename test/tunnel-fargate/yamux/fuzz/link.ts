import { Duplex } from 'node:stream';
import { type Random, turns } from './random.ts';

/** One end of a link that delivers what is written in pieces of any size, some of them late. */
export class LinkEnd extends Duplex {
  readonly #random: Random;
  readonly #seen: (bytes: Buffer) => void;
  #other: LinkEnd | undefined;
  /** The other end waits to be asked for more. */
  #asked: (() => void) | undefined;

  constructor(random: Random, seen: (bytes: Buffer) => void) {
    super({ highWaterMark: 16_384 });
    this.#random = random;
    this.#seen = seen;
  }

  join(other: LinkEnd): void {
    this.#other = other;
  }

  override _read(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#seen(chunk);
    void this.#carry(chunk).then(() => done());
  }

  override _final(done: () => void): void {
    if (this.#other?.destroyed === false) this.#other.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._read();
    setImmediate(() => this.#other?.destroy());
    done(error);
  }

  async #carry(chunk: Buffer): Promise<void> {
    const random = this.#random;
    const fine = random.oneIn(3);
    for (let at = 0; at < chunk.length;) {
      if (random.oneIn(4)) await turns(random.below(3));
      const other = this.#other;
      if (other === undefined || other.destroyed) return;
      const size = 1 + random.below(fine && at < 200 ? 20 : 70_000);
      const wantsMore = other.push(Buffer.from(chunk.subarray(at, at + size)));
      at += size;
      if (!wantsMore) await other.#wanted();
    }
  }

  #wanted(): Promise<void> {
    if (this.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#asked = resolve;
    });
  }
}

/** @param seen what each side writes, before it is delivered. */
export function link(random: Random, seen: (side: 0 | 1, bytes: Buffer) => void): [LinkEnd, LinkEnd] {
  const left = new LinkEnd(random, (bytes) => seen(0, bytes));
  const right = new LinkEnd(random, (bytes) => seen(1, bytes));
  left.join(right);
  right.join(left);
  return [left, right];
}
