/** A line without its line feed; of one that is too long only the beginning is there. */
export type Line = {
  readonly bytes: Buffer;
  /** Bytes that came. */
  readonly size: number;
  readonly whole: boolean;
};

/**
 * Cuts a byte sequence at line feeds, however it was cut before. Holds the line that has not ended, `maxLineBytes` at
 * most; what follows in a longer one is counted and dropped.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #size = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Bytes in memory for the line that has not ended. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The lines that end in this chunk; they may point into it. */
  *push(chunk: Buffer): Generator<Line> {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      yield this.#line(chunk.subarray(from, end));
      from = end + 1;
    }
    const rest = chunk.subarray(from);
    this.#size += rest.length;
    const kept = rest.subarray(0, this.#maxLineBytes - this.#heldBytes);
    if (kept.length === 0) return;
    // A copy: a view would keep the whole chunk.
    this.#held.push(Buffer.from(kept));
    this.#heldBytes += kept.length;
  }

  /** The last line, when it came without a line feed. */
  end(): Line | undefined {
    return this.#size > 0 ? this.#line(Buffer.alloc(0)) : undefined;
  }

  #line(last: Buffer): Line {
    const size = this.#size + last.length;
    const whole = size <= this.#maxLineBytes;
    const tail = last.subarray(0, this.#maxLineBytes - this.#heldBytes);
    const bytes = this.#heldBytes === 0 ? tail : Buffer.concat([...this.#held, tail]);
    this.#held = [];
    this.#heldBytes = 0;
    this.#size = 0;
    return { bytes, size, whole };
  }
}
