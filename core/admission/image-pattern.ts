import { isAnchored, type Node, parsePattern, PatternFault } from './image-pattern-syntax.ts';

export { PatternFault } from './image-pattern-syntax.ts';

/** Steps of a compiled pattern: they bound the time of a match (steps × characters) whatever the pattern. */
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
  /** Steps: what a match costs for each character. */
  readonly size: number;
  readonly #steps: readonly Step[];
  readonly #isAnchored: boolean;

  constructor(source: string) {
    if (source.length > maxPattern) throw new PatternFault(`is longer than ${maxPattern} characters`);
    this.source = source;
    const node = parsePattern(source);
    this.#steps = compile(node);
    this.#isAnchored = isAnchored(node);
    this.size = this.#steps.length;
  }

  /** Whether it matches anywhere in the text. */
  matches(text: string): boolean {
    let current: number[] = [];
    for (let at = 0; at <= text.length; at += 1) {
      const [before, char] = [text[at - 1], text[at]];
      // A match may begin at any character, unless anchored: the first step joins those that are under way.
      if (at === 0 || !this.#isAnchored) current.push(0);
      if (current.length === 0) return false;
      const alive = this.#follow(current, before, char);
      if (alive === 'match') return true;
      if (char === undefined) return false;
      current = [];
      for (const index of alive) {
        const step = this.#steps[index];
        if (step?.op === 'char' && step.test(char)) current.push(index + 1);
      }
    }
    return false;
  }

  /** The steps that wait for a character, reached from these without one. Each is visited once. */
  #follow(
    from: readonly number[],
    before: string | undefined,
    after: string | undefined,
  ): number[] | 'match' {
    const seen = new Uint8Array(this.#steps.length);
    const waiting: number[] = [];
    const open = [...from];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (seen[index] === 1) continue;
      seen[index] = 1;
      const step = this.#steps[index];
      if (step?.op === 'match') return 'match';
      if (step?.op === 'char') waiting.push(index);
      else if (step?.op === 'fork') open.push(...step.to);
      else if (step?.op === 'hold' && step.test(before, after)) open.push(index + 1);
    }
    return waiting;
  }
}

function compile(node: Node): Step[] {
  const steps: Step[] = [];
  const emit = (step: Step): number => {
    // Before the memory is taken: ((a{1000}){1000}){1000} is short to write.
    if (steps.length >= maxSteps)
      throw new PatternFault('is too large: fewer or smaller repetitions, please');
    return steps.push(step) - 1;
  };
  const fork = () => {
    const step: Step = { op: 'fork', to: [] };
    return { at: emit(step), to: (...targets: number[]) => (step.to = targets) };
  };
  const walk = (each: Node): void => {
    switch (each.kind) {
      case 'char':
        emit({ op: 'char', test: each.test });
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
  walk(node);
  emit({ op: 'match' });
  return steps;
}
