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

const slash = 0x2f;

/** Characters that are held against each of a path: what comes before the first star is compared at once. */
export const globCost = (source: string): number => source.length - literalOf(source).length;
const literalOf = (source: string): string => /^[^*]*/.exec(source)?.[0] ?? '';

/**
 * A glob over image paths that matches the whole path: `*` stands for anything but a slash, `**` for anything. In time
 * linear in the path, whatever it says: tenants write them. All places of the glob that what has been read may have come
 * to are bits of a word, which one shift moves on together (Baeza-Yates and Gonnet's Shift-And).
 */
export class ImageGlob {
  readonly source: string;
  /** What comes before the first star: most paths are told apart by it. */
  readonly #literal: string;
  /** Of what comes then, the places that a character is waited for in, by its code: globs are ASCII. */
  readonly #chars: (Uint32Array | undefined)[];
  /** The places of stars that take a character, by whether it is a slash, and those of all stars. */
  readonly #deep: Uint32Array;
  readonly #stars: Uint32Array;
  readonly #none: Uint32Array;
  /** The place after the last. */
  readonly #end: number;

  constructor(source: string) {
    this.source = source;
    this.#literal = literalOf(source);
    const steps = source.slice(this.#literal.length).match(/\*+|[^*]/g) ?? [];
    this.#end = steps.length;
    const places = () => new Uint32Array((steps.length >>> 5) + 1);
    [this.#deep, this.#stars, this.#none] = [places(), places(), places()];
    this.#chars = Array.from({ length: 128 }, () => undefined);
    for (const [index, step] of steps.entries()) {
      if (step.startsWith('*')) {
        mark(this.#stars, index);
        if (step.length > 1) mark(this.#deep, index);
      } else {
        mark((this.#chars[step.charCodeAt(0)] ??= places()), index);
      }
    }
  }

  matches(path: string): boolean {
    if (!path.startsWith(this.#literal)) return false;
    if (this.#end === 0) return path === this.#literal;
    const open = new Uint32Array(this.#none.length);
    mark(open, 0);
    // The glob goes on with a star, which may stand for nothing.
    mark(open, 1);
    for (let at = this.#literal.length; at < path.length; at += 1) {
      const code = path.charCodeAt(at);
      const waiting = this.#chars[code] ?? this.#none;
      const staying = code === slash ? this.#deep : this.#stars;
      let [moved, passed, any] = [0, 0, 0];
      for (let word = 0; word < open.length; word += 1) {
        const here = open[word] ?? 0;
        const moving = here & (waiting[word] ?? 0);
        const next = (here & (staying[word] ?? 0)) | (moving << 1) | moved;
        // And whatever has come to a star is behind it, too; there are never two of them next to each other.
        const passing = next & (this.#stars[word] ?? 0);
        open[word] = next | (passing << 1) | passed;
        moved = moving >>> 31;
        passed = passing >>> 31;
        any |= next;
      }
      if (any === 0) return false;
    }
    return (((open[this.#end >>> 5] ?? 0) >>> (this.#end & 31)) & 1) === 1;
  }
}

function mark(places: Uint32Array, index: number): void {
  const word = index >>> 5;
  places[word] = (places[word] ?? 0) | (1 << (index & 31));
}
