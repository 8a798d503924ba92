/** Keys in the order in which S3 lists them: by their UTF-8 bytes, which for surrogate pairs is not JavaScript's order. */
export class SortedKeys {
  private readonly keys: string[] = [];

  add(key: string): void {
    const at = this.position(key);
    if (this.keys[at] !== key) this.keys.splice(at, 0, key);
  }

  delete(key: string): void {
    const at = this.position(key);
    if (this.keys[at] === key) this.keys.splice(at, 1);
  }

  /** Those that begin with `prefix` and are greater than `after`. Do not change the keys while iterating. */
  *from(prefix: string, after: string): Generator<string> {
    const start = compareUtf8(after, prefix) < 0 ? prefix : after;
    for (let at = this.position(start); at < this.keys.length; at += 1) {
      const key = this.keys[at];
      if (!key?.startsWith(prefix)) return;
      if (compareUtf8(key, after) > 0) yield key;
    }
  }

  /** The index of the first key that is not less than `key`. */
  private position(key: string): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareUtf8(this.keys[middle] ?? '', key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export const compareUtf8 = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
