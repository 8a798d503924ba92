import * as z from 'zod';

/** The longest glob: it bounds the time of a match (its length × that of the path). */
const maxGlob = 320;

/** A pattern of image paths, `<registry>/<repository>`. */
export const imageGlobText = z
  .string()
  .max(maxGlob)
  .regex(/^[a-z0-9*[][a-z0-9._:*[\]-]*(?:\/[a-z0-9._*-]+)+$/, {
    error: 'must be <registry>/<repository>; * stands for anything but /, ** for anything',
  });

/**
 * A glob over image paths that matches the whole path: `*` stands for anything but a slash, `**` for anything. In time
 * linear in the path, whatever it says: tenants write them. All places of the glob that what has been read may have come
 * to are bits of a word, which one shift moves on together (Baeza-Yates and Gonnet's Shift-And).
 */
export class ImageGlob {
  readonly source: string;
  /** What comes before the first star: most paths are told apart by it. */
  readonly #literal: string;
  /** Of what comes then, the places that a character is waited for in, by character. */
  readonly #chars = new Map<string, Uint32Array>();
  /** The places of stars that take a character, by whether it is a slash, and those of all stars. */
  readonly #deep: Uint32Array;
  readonly #stars: Uint32Array;
  readonly #none: Uint32Array;
  /** The place after the last. */
  readonly #end: number;

  constructor(source: string) {
    this.source = source;
    this.#literal = /^[^*]*/.exec(source)?.[0] ?? '';
    const steps = source.slice(this.#literal.length).match(/\*+|[^*]/g) ?? [];
    this.#end = steps.length;
    const places = () => new Uint32Array((steps.length >>> 5) + 1);
    [this.#deep, this.#stars, this.#none] = [places(), places(), places()];
    for (const [index, step] of steps.entries()) {
      if (step.startsWith('*')) {
        mark(this.#stars, index);
        if (step.length > 1) mark(this.#deep, index);
      } else {
        const waiting = this.#chars.get(step) ?? places();
        this.#chars.set(step, waiting);
        mark(waiting, index);
      }
    }
  }

  matches(path: string): boolean {
    if (!path.startsWith(this.#literal)) return false;
    if (this.#end === 0) return path === this.#literal;
    const open = new Uint32Array(this.#none.length);
    mark(open, 0);
    this.#pass(open);
    for (let at = this.#literal.length; at < path.length; at += 1) {
      const char = path.charAt(at);
      const waiting = this.#chars.get(char) ?? this.#none;
      const staying = char === '/' ? this.#deep : this.#stars;
      let [carry, any] = [0, 0];
      for (let word = 0; word < open.length; word += 1) {
        const here = open[word] ?? 0;
        const moving = here & (waiting[word] ?? 0);
        const next = (here & (staying[word] ?? 0)) | (moving << 1) | carry;
        carry = moving >>> 31;
        open[word] = next;
        any |= next;
      }
      if (any === 0) return false;
      this.#pass(open);
    }
    return (((open[this.#end >>> 5] ?? 0) >>> (this.#end & 31)) & 1) === 1;
  }

  /** Lets stars stand for nothing; there are never two of them next to each other. */
  #pass(open: Uint32Array): void {
    let carry = 0;
    for (let word = 0; word < open.length; word += 1) {
      const passing = (open[word] ?? 0) & (this.#stars[word] ?? 0);
      open[word] = (open[word] ?? 0) | (passing << 1) | carry;
      carry = passing >>> 31;
    }
  }
}

function mark(places: Uint32Array, index: number): void {
  const word = index >>> 5;
  places[word] = (places[word] ?? 0) | (1 << (index & 31));
}
