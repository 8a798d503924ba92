import { type Node, parsePattern, PatternFault } from './image-pattern-syntax.ts';

export { PatternFault } from './image-pattern-syntax.ts';

/** Steps of a compiled pattern. */
export const maxSteps = 1_000;
/** Longest pattern. */
export const maxPattern = 512;

type Step =
  | { readonly op: 'char'; readonly test: (char: string) => boolean }
  | { readonly op: 'hold'; readonly test: (before: string | undefined, after: string | undefined) => boolean }
  | { readonly op: 'fork'; to: readonly number[] }
  | { readonly op: 'match' };

/**
 * A regular expression of Go's kind (RE2), as ContainerAdmissionPolicy has them: it matches anywhere unless anchored.
 *
 * Tenants write them and a function that serves all tenants runs them, so JavaScript's own, which can take exponential
 * time, will not do: this one follows all alternatives at once (Thompson's construction), in time linear in the text.
 * Throws PatternFault for what RE2 does not know either (back references, look-around) and for little-used syntax.
 */
export class ImagePattern {
  readonly source: string;
  /**
   * What a match takes at most for each character, in visited steps, and 1 at least. The characters that come first cost
   * nothing, as JavaScript compares them, and what has one place in the text is nowhere else.
   */
  readonly cost: number;
  readonly #literal: string;
  readonly #isAnchored: boolean;
  readonly #rest: readonly Node[];
  /** Made when they are needed: of the patterns that somebody sends most may be too many. */
  #steps: readonly Step[] = [];
  /** By step, when it was visited last: `#round` counts characters. */
  #seen = new Uint32Array();
  #round = 0;
  #visited = 0;

  constructor(source: string) {
    if (source.length > maxPattern) throw new PatternFault(`is longer than ${maxPattern} characters`);
    this.source = source;
    const { isAnchored, literal, rest } = parsePattern(source);
    const sizes = rest.map(sizeOf);
    const size = sizes.reduce((sum, each) => sum + each, 1);
    if (size > maxSteps) throw new PatternFault('is too large: fewer or smaller repetitions, please');
    this.#literal = literal;
    this.#isAnchored = isAnchored;
    this.#rest = rest;
    this.cost = isAnchored ? anchoredCost(rest, sizes) : size;
  }

  /** Steps that all matches together have visited: what bounds their time. */
  get visited(): number {
    return this.#visited;
  }

  /** Whether it matches anywhere in the text. */
  matches(text: string): boolean {
    const isWhole = this.#rest.length === 0;
    if (this.#isAnchored) {
      return text.startsWith(this.#literal) && (isWhole || this.#runs(text, this.#literal.length));
    }
    const first = text.indexOf(this.#literal);
    return first !== -1 && (isWhole || this.#runs(text, first + this.#literal.length));
  }

  /** Whether what comes after the literal matches there, or, unless anchored, after a later place of it. */
  #runs(text: string, from: number): boolean {
    if (this.#steps.length === 0) {
      this.#steps = compile(this.#rest);
      this.#seen = new Uint32Array(this.#steps.length);
    }
    let current: number[] = [];
    // Where the next match may begin.
    let start = from;
    for (let at = from; at <= text.length; at += 1) {
      if (current.length === 0) {
        if (start === -1) return false;
        at = start;
      }
      // It joins those that are under way.
      if (at === start) {
        current.push(0);
        start = this.#isAnchored ? -1 : this.#placeAfter(text, at);
      }
      const next: number[] = [];
      if (this.#follow(current, text[at - 1], text[at], next)) return true;
      current = next;
    }
    return false;
  }

  /** Where the next literal ends that does so after `end`; -1: nowhere. */
  #placeAfter(text: string, end: number): number {
    const begin = end - this.#literal.length + 1;
    // An empty one is found at the end of the text for ever.
    const place = begin > text.length ? -1 : text.indexOf(this.#literal, begin);
    return place === -1 ? -1 : place + this.#literal.length;
  }

  /**
   * Visits what is reached from these steps without a character, each once, and adds to `next` those after a step that takes
   * the character. Whether a match is among them.
   */
  #follow(open: number[], before: string | undefined, char: string | undefined, next: number[]): boolean {
    const [steps, seen] = [this.#steps, this.#seen];
    this.#round += 1;
    if (this.#round === 2 ** 32) {
      seen.fill(0);
      this.#round = 1;
    }
    const round = this.#round;
    let visited = 0;
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (seen[index] === round) continue;
      seen[index] = round;
      visited += 1;
      const step = steps[index];
      if (step?.op === 'char') {
        if (char !== undefined && step.test(char)) next.push(index + 1);
      } else if (step?.op === 'fork') {
        for (const to of step.to) open.push(to);
      } else if (step?.op === 'match') {
        this.#visited += visited;
        return true;
      } else if (step?.test(before, char) === true) open.push(index + 1);
    }
    this.#visited += visited;
    return false;
  }
}

/**
 * Of a match that can begin nowhere but at the beginning: as long as parts have a fixed length each has its place, so that
 * at one character only two neighbours are visited, and what has no length; from the first of another length on all are.
 */
function anchoredCost(parts: readonly Node[], sizes: readonly number[]): number {
  const floating = parts.findIndex((part) => lengthOf(part) === undefined);
  const places = floating === -1 ? parts.length : floating;
  let [largest, sum] = [0, 1];
  for (const [index, size] of sizes.entries()) {
    const part = parts[index];
    if (part && index < places && lengthOf(part) !== 0) largest = Math.max(largest, size);
    else sum += size;
  }
  return 2 * largest + sum;
}

/** How many characters it matches; undefined: more or fewer. */
function lengthOf(node: Node): number | undefined {
  switch (node.kind) {
    case 'char':
      return 1;
    case 'hold':
      return 0;
    case 'sequence':
      return node.parts.reduce<number | undefined>((sum, part) => plus(sum, lengthOf(part)), 0);
    case 'choice': {
      const [first, ...others] = node.parts.map(lengthOf);
      return others.every((length) => length === first) ? first : undefined;
    }
    case 'repeat': {
      const length = node.min === node.max ? lengthOf(node.part) : undefined;
      return length === undefined ? undefined : length * node.min;
    }
  }
}

const plus = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a + b;

/** Asks once for each ASCII character: a class of characters may have hundreds of ranges. */
function remembered(test: (char: string) => boolean): (char: string) => boolean {
  const [unknown, no, yes] = [0, 1, 2];
  const known = new Uint8Array(128);
  return (char) => {
    const code = char.charCodeAt(0);
    if (known[code] === unknown) known[code] = test(char) ? yes : no;
    return known[code] === undefined ? test(char) : known[code] === yes;
  };
}

/** Steps that `compile` makes of it, without making them: ((a{1000}){1000}){1000} is short to write. */
function sizeOf(node: Node): number {
  const all = (parts: readonly Node[]) => parts.reduce((sum, part) => sum + sizeOf(part), 0);
  switch (node.kind) {
    case 'char':
    case 'hold':
      return 1;
    case 'sequence':
      return all(node.parts);
    case 'choice':
      return 1 + all(node.parts) + node.parts.length;
    case 'repeat': {
      const [{ min, max }, size] = [node, sizeOf(node.part)];
      return min * size + (max === undefined ? size + 2 : (max - min) * (size + 1));
    }
  }
}

/** Steps of the parts, one after another, and at the end a match. */
function compile(parts: readonly Node[]): readonly Step[] {
  const steps: Step[] = [];
  const emit = (step: Step): number => steps.push(step) - 1;
  // One for all the times that a part is repeated.
  const tests = new Map<Node, (char: string) => boolean>();
  const testOf = (each: Node & { kind: 'char' }) => {
    const test = tests.get(each) ?? (each.literal === undefined ? remembered(each.test) : each.test);
    tests.set(each, test);
    return test;
  };
  const fork = () => {
    const step: Step = { op: 'fork', to: [] };
    return { at: emit(step), to: (...targets: number[]) => (step.to = targets) };
  };
  const walk = (each: Node): void => {
    switch (each.kind) {
      case 'char':
        emit({ op: 'char', test: testOf(each) });
        return;
      case 'hold':
        emit({ op: 'hold', test: each.test });
        return;
      case 'sequence':
        each.parts.forEach(walk);
        return;
      case 'choice': {
        const begin = fork();
        const ends: ReturnType<typeof fork>[] = [];
        const starts = each.parts.map((part) => {
          const start = steps.length;
          walk(part);
          ends.push(fork());
          return start;
        });
        begin.to(...starts);
        for (const end of ends) end.to(steps.length);
        return;
      }
      case 'repeat': {
        for (let times = 0; times < each.min; times += 1) {
          const before = steps.length;
          walk(each.part);
          // Nothing, a thousand times, is nothing: ((){1000}){1000} would take its time without a step.
          if (steps.length === before) break;
        }
        if (each.max === undefined) {
          const begin = fork();
          walk(each.part);
          const back = fork();
          back.to(begin.at);
          begin.to(begin.at + 1, steps.length);
          return;
        }
        const skips: ReturnType<typeof fork>[] = [];
        for (let times = each.min; times < each.max; times += 1) {
          skips.push(fork());
          walk(each.part);
        }
        for (const skip of skips) skip.to(skip.at + 1, steps.length);
        return;
      }
    }
  };
  parts.forEach(walk);
  emit({ op: 'match' });
  return steps;
}
