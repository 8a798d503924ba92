/** What a pattern is made of. */
export type Node =
  | { readonly kind: 'char'; readonly test: (char: string) => boolean; readonly literal?: string }
  | {
      readonly kind: 'hold';
      readonly test: (before: string | undefined, after: string | undefined) => boolean;
    }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number | undefined };

/** The pattern cannot be used; the message goes on from "the pattern …". */
export class PatternFault extends Error {
  override readonly name = 'PatternFault';
}

/** Of RE2 (github.com/google/re2, wiki/Syntax): a repetition's highest count, and how deep groups may nest here. */
const [maxRepeat, maxDepth] = [1_000, 50];

type Test = (char: string) => boolean;
const oneOf =
  (pattern: RegExp): Test =>
  (char) =>
    pattern.test(char);
const not =
  (test: Test): Test =>
  (char) =>
    !test(char);

/** Perl's classes are ASCII in RE2. */
const classes: ReadonlyMap<string, Test> = new Map(
  (
    [
      ['d', /[0-9]/],
      ['w', /[0-9A-Za-z_]/],
      ['s', /[\t\n\f\r ]/],
    ] as const
  ).flatMap(([letter, pattern]) => [
    [letter, oneOf(pattern)],
    [letter.toUpperCase(), not(oneOf(pattern))],
  ]),
);
const namedClasses: ReadonlyMap<string, Test> = new Map([
  ['alnum', oneOf(/[0-9A-Za-z]/)],
  ['alpha', oneOf(/[A-Za-z]/)],
  ['digit', oneOf(/[0-9]/)],
  ['lower', oneOf(/[a-z]/)],
  ['upper', oneOf(/[A-Z]/)],
  ['word', oneOf(/[0-9A-Za-z_]/)],
  ['xdigit', oneOf(/[0-9A-Fa-f]/)],
]);
const controls: ReadonlyMap<string, string> = new Map([
  ['t', '\t'],
  ['n', '\n'],
  ['r', '\r'],
  ['f', '\f'],
  ['v', '\v'],
  ['a', '\x07'],
]);

const literally = (literal: string): Node => ({ kind: 'char', literal, test: (char) => char === literal });

const isWord = (char: string | undefined): boolean => char !== undefined && /[0-9A-Za-z_]/.test(char);
const begin: Node = { kind: 'hold', test: (before) => before === undefined };
const end: Node = { kind: 'hold', test: (_before, after) => after === undefined };
const boundary: Node = { kind: 'hold', test: (before, after) => isWord(before) !== isWord(after) };
const noBoundary: Node = { kind: 'hold', test: (before, after) => isWord(before) === isWord(after) };
const holds: ReadonlyMap<string, Node> = new Map([
  ['A', begin],
  ['z', end],
  ['b', boundary],
  ['B', noBoundary],
]);

/** A pattern as it is searched for. */
export type ParsedPattern = {
  /** It begins with `^`: a match begins at the first character or nowhere. */
  readonly isAnchored: boolean;
  /** The plain characters that come first (after `^`). */
  readonly literal: string;
  /** What comes after them. */
  readonly rest: readonly Node[];
};

/** Reads a regular expression in RE2's syntax; throws PatternFault. */
export function parsePattern(source: string): ParsedPattern {
  const node = new PatternParser(source).parse();
  const parts = node.kind === 'sequence' ? [...node.parts] : [node];
  // What may be nothing decides nothing at an end that is open: a match without it is one, too.
  const isOptional = (part: Node | undefined) => part?.kind === 'repeat' && part.min === 0;
  while (isOptional(parts.at(-1))) parts.pop();
  while (isOptional(parts[0])) parts.shift();
  const isAnchored = parts[0] === begin;
  if (isAnchored) parts.shift();
  let literal = '';
  for (let part = parts[0]; part?.kind === 'char' && part.literal !== undefined; [part] = parts) {
    literal += part.literal;
    parts.shift();
  }
  return { isAnchored, literal, rest: parts };
}

class PatternParser {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.#source.length) throw new PatternFault('closes a group that is not open');
    return node;
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #taken(pattern: RegExp): RegExpExecArray | undefined {
    const found = pattern.exec(this.#source.slice(this.#at));
    if (!found) return undefined;
    this.#at += found[0].length;
    return found;
  }

  #choice(): Node {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    const [only] = parts;
    return only && parts.length === 1 ? only : { kind: 'choice', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source.charAt(this.#at))) {
      parts.push(this.#repeated());
    }
    return { kind: 'sequence', parts };
  }

  #repeated(): Node {
    const part = this.#atom();
    const range = this.#range();
    if (!range) return part;
    // Lazy or greedy, the answer is the same: there is a match or there is none.
    this.#take('?');
    if (this.#range()) throw new PatternFault('repeats a repetition: put the first into (?:…)');
    return { kind: 'repeat', part, ...range };
  }

  #range(): { min: number; max: number | undefined } | undefined {
    if (this.#take('*')) return { min: 0, max: undefined };
    if (this.#take('+')) return { min: 1, max: undefined };
    if (this.#take('?')) return { min: 0, max: 1 };
    // Braces that are no repetition are plain characters.
    const counted = this.#taken(/^\{([0-9]{1,6})(,?)([0-9]{0,6})\}/);
    if (!counted) return undefined;
    const [, from = '', comma = '', to = ''] = counted;
    const min = Number(from);
    const max = comma === '' ? min : to === '' ? undefined : Number(to);
    if (min > maxRepeat || (max ?? 0) > maxRepeat || (max ?? min) < min) {
      throw new PatternFault(
        `has a repetition of which the counts are not 0 to ${maxRepeat} in rising order`,
      );
    }
    return { min, max };
  }

  #atom(): Node {
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return { kind: 'char', test: this.#set() };
    if (this.#take('.')) return { kind: 'char', test: (char) => char !== '\n' };
    if (this.#take('^')) return begin;
    if (this.#take('$')) return end;
    if (/[*+?]/.test(this.#source.charAt(this.#at))) throw new PatternFault('repeats nothing');
    if (this.#take('\\')) {
      const letter = this.#source.charAt(this.#at);
      const held = holds.get(letter);
      if (held) {
        this.#at += 1;
        return held;
      }
      const escaped = this.#escaped();
      return typeof escaped === 'string' ? literally(escaped) : { kind: 'char', test: escaped };
    }
    const literal = this.#source.charAt(this.#at);
    this.#at += 1;
    return literally(literal);
  }

  #group(): Node {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw new PatternFault(`nests groups more than ${maxDepth} deep`);
    if (!this.#take('?:') && !this.#taken(/^\?P?<[A-Za-z_][0-9A-Za-z_]*>/) && this.#take('?')) {
      throw new PatternFault('has a group that begins with (?: only (?:…) and (?P<name>…) are supported');
    }
    const node = this.#choice();
    if (!this.#take(')')) throw new PatternFault('has a group that does not end');
    this.#depth -= 1;
    return node;
  }

  /** After a backslash: a character, or the test of a class. */
  #escaped(): string | Test {
    const letter = this.#source.charAt(this.#at);
    this.#at += 1;
    if (letter === '') throw new PatternFault('ends in a backslash');
    const known = classes.get(letter) ?? controls.get(letter);
    if (known !== undefined) return known;
    if (letter === 'x') {
      const hex = this.#taken(/^([0-9A-Fa-f]{2})/) ?? this.#taken(/^\{([0-9A-Fa-f]{1,4})\}/);
      if (!hex?.[1]) throw new PatternFault('has \\x without two hex digits, or up to four in braces');
      return String.fromCharCode(parseInt(hex[1], 16));
    }
    if (/[0-9A-Za-z]/.test(letter)) throw new PatternFault(`has \\${letter}, which is not supported`);
    return letter;
  }

  #set(): Test {
    const negated = this.#take('^');
    const tests: Test[] = [];
    // A bracket that comes first is a plain character.
    for (let first = true; first || !this.#take(']'); first = false) {
      if (this.#at >= this.#source.length) throw new PatternFault('has a [ without its ]');
      const named = this.#taken(/^\[:(\^?)([a-z]+):\]/);
      if (named) {
        const test = namedClasses.get(named[2] ?? '');
        if (!test) throw new PatternFault(`has the class [:${named[2] ?? ''}:], which is not supported`);
        tests.push(named[1] === '^' ? not(test) : test);
        continue;
      }
      const from = this.#member();
      if (typeof from !== 'string') {
        tests.push(from);
        continue;
      }
      const to = this.#taken(/^-(?!\])/) ? this.#member() : from;
      if (typeof to !== 'string' || to < from) throw new PatternFault('has a range that does not rise');
      tests.push((char) => char >= from && char <= to);
    }
    const test: Test = (char) => tests.some((each) => each(char));
    return negated ? not(test) : test;
  }

  #member(): string | Test {
    if (this.#take('\\')) return this.#escaped();
    const char = this.#source.charAt(this.#at);
    if (char === '') throw new PatternFault('has a [ without its ]');
    this.#at += 1;
    return char;
  }
}
