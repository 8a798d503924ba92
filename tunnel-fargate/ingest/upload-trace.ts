/** How much of a body's beginning tells it from others, bytes: its first flow's key and times come first. */
export const prefixBytes = 1_024;

/**
 * What is known of an upload so far, also when it breaks off. A resend is recognised by the hash of the whole, or, where
 * one of the two was not read to its end, by its declared length and its beginning.
 */
export class UploadTrace {
  /** Content-Length; undefined where chunked. */
  readonly declaredBytes: number | undefined;
  /** Latest `end_time` of its flows so far, unix seconds: buckets of one Goldmane follow each other without overlap. */
  end: number | undefined;
  /** Lower-case hex SHA-256 of the body as it came, once all of it came. */
  sha256: string | undefined;
  /** Bytes that came. */
  size = 0;
  /** Not of the pool, of which a long-lived slice would hold the whole. */
  readonly #prefix = Buffer.alloc(prefixBytes);

  constructor(declaredBytes?: number) {
    this.declaredBytes = declaredBytes;
  }

  get prefix(): Buffer {
    return this.#prefix.subarray(0, this.size);
  }

  came(chunk: Buffer): void {
    if (this.size < prefixBytes) chunk.copy(this.#prefix, this.size);
    this.size += chunk.length;
  }

  sawEnd(end: number): void {
    if (this.end === undefined || end > this.end) this.end = end;
  }

  /** Whether both are, as far as one can tell, the same body. */
  isSameAs(other: UploadTrace): boolean {
    if (this.sha256 !== undefined && other.sha256 !== undefined) return this.sha256 === other.sha256;
    if (this.declaredBytes !== other.declaredBytes) return false;
    const common = Math.min(this.prefix.length, other.prefix.length);
    if (common === 0) return this.declaredBytes !== undefined;
    return this.prefix.subarray(0, common).equals(other.prefix.subarray(0, common));
  }
}
