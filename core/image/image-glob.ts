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

const [star, deep] = ['*', '**'];

/**
 * A glob over image paths that matches the whole path: `*` stands for anything but a slash, `**` for anything. In time
 * linear in the path for each step of the glob, whatever it says: tenants write them.
 */
export class ImageGlob {
  readonly source: string;
  readonly #steps: readonly string[];
  /** What comes before the first star: most paths are told apart by it. */
  readonly #literal: string;

  constructor(source: string) {
    this.source = source;
    this.#steps = (source.match(/\*+|[^*]/g) ?? []).map((step) => (step.length > 1 ? deep : step));
    this.#literal = /^[^*]*/.exec(source)?.[0] ?? '';
  }

  matches(path: string): boolean {
    if (!path.startsWith(this.#literal)) return false;
    const steps = this.#steps;
    if (this.#literal.length === steps.length) return path === this.#literal;
    // All steps that what has been read so far may have come to, in rising order.
    let open = closed([this.#literal.length], steps);
    for (let at = this.#literal.length; at < path.length && open.length > 0; at += 1) {
      const char = path.charAt(at);
      const next: number[] = [];
      for (const index of open) {
        const step = steps[index];
        if (step === deep || (step === star && char !== '/')) add(next, index);
        else if (step === char) add(next, index + 1);
      }
      open = closed(next, steps);
    }
    return open.at(-1) === steps.length;
  }
}

/** With the steps that are reached by letting a star stand for nothing. */
function closed(open: readonly number[], steps: readonly string[]): number[] {
  const all: number[] = [];
  for (const each of open) {
    add(all, each);
    for (let index = each; steps[index] === star || steps[index] === deep; index += 1) add(all, index + 1);
  }
  return all;
}

/** Steps come in rising order, but for those that stand there already. */
function add(rising: number[], index: number): void {
  if (index > (rising.at(-1) ?? -1)) rising.push(index);
}
