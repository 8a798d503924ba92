/** Small pieces are gathered in blocks of this size. */
const SLAB_BYTES = 16_384;

/** Below this, a Buffer object costs too much beside its content. */
const SMALL_BYTES = 1024;

/**
 * Bytes that arrived and wait for a reader. A small view into a large read would keep the whole read alive, so that a
 * window of one-byte frames could hold gigabytes: such pieces are copied together, and memory stays within about
 * twice the bytes held plus one slab.
 */
export class Inbox {
  #chunks: Buffer[] = [];
  #head = 0;
  #bytes = 0;
  #slab: Buffer | undefined;
  #slabUsed = 0;
  /** Where the last chunk begins in the slab, if it lies there and may grow. */
  #growingFrom: number | undefined;

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (bytes.length >= SMALL_BYTES && bytes.length * 2 >= bytes.buffer.byteLength) {
      this.#chunks.push(bytes);
      this.#growingFrom = undefined;
      return;
    }
    for (let offset = 0; offset < bytes.length;) offset += this.#gather(bytes, offset);
  }

  /** The oldest bytes, or undefined when empty. */
  shift(): Buffer | undefined {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) return undefined;
    this.#head += 1;
    this.#bytes -= chunk.length;
    if (this.#head === this.#chunks.length) {
      this.clear();
    } else if (this.#head >= 64 && this.#head * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    return chunk;
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#slab = undefined;
    this.#growingFrom = undefined;
  }

  #gather(bytes: Buffer, offset: number): number {
    if (this.#slab === undefined || this.#slabUsed === this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#slabUsed = 0;
      this.#growingFrom = undefined;
    }
    const copied = bytes.copy(this.#slab, this.#slabUsed, offset);
    const from = this.#growingFrom ?? this.#slabUsed;
    if (this.#growingFrom !== undefined) this.#chunks.pop();
    this.#slabUsed += copied;
    this.#chunks.push(this.#slab.subarray(from, this.#slabUsed));
    this.#growingFrom = from;
    return copied;
  }
}
