/**
 * Labels of an object. `isComplete` false: it may have others; a review names a namespace, but not the namespace's labels.
 */
export type Labels = { readonly known: ReadonlyMap<string, string>; readonly isComplete: boolean };

/** Whether the object is selected; undefined: that hangs on a label that is not known. */
export type LabelSelector = (labels: Labels) => boolean | undefined;

/** The selector cannot be read; the message goes on from "the selector …". */
export class SelectorFault extends Error {
  override readonly name = 'SelectorFault';
}

const maxSelector = 4_096;
const maxDepth = 50;

const everything: LabelSelector = () => true;
/** `global()` selects what is in no namespace: no pod, and no namespace. */
const nothing: LabelSelector = () => false;
const not =
  (inner: LabelSelector): LabelSelector =>
  (labels) => {
    const selected = inner(labels);
    return selected === undefined ? undefined : !selected;
  };
const either =
  (parts: readonly LabelSelector[]): LabelSelector =>
  (labels) => {
    const answers = parts.map((part) => part(labels));
    return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
  };
const both = (parts: readonly LabelSelector[]): LabelSelector => not(either(parts.map(not)));
/** By the value of a label; `absent` is the answer where there is no such label. */
const labelled =
  (label: string, absent: boolean, test: (value: string) => boolean): LabelSelector =>
  ({ known, isComplete }) => {
    const value = known.get(label);
    if (value !== undefined) return test(value);
    return isComplete ? absent : undefined;
  };

type Reader = (label: string, value: string) => LabelSelector;
/** By operator; what is not there is not equal to anything, and contains nothing. */
const comparisons: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['==', (label, wanted) => labelled(label, false, (value) => value === wanted)],
  ['!=', (label, wanted) => labelled(label, true, (value) => value !== wanted)],
  ['contains', (label, wanted) => labelled(label, false, (value) => value.includes(wanted))],
  ['starts with', (label, wanted) => labelled(label, false, (value) => value.startsWith(wanted))],
  ['ends with', (label, wanted) => labelled(label, false, (value) => value.endsWith(wanted))],
]);

/**
 * Reads a selector of Calico's (its documentation's section "Selector" has the operators; `!` binds before `&&`, that
 * before `||`; strings in either kind of quotes, without escapes). Empty selects everything. Throws SelectorFault.
 */
export function readSelector(text: string): LabelSelector {
  if (text.length > maxSelector) throw new SelectorFault(`is longer than ${maxSelector} characters`);
  if (text.trim() === '') return everything;
  return new SelectorParser(text).parse();
}

class SelectorParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): LabelSelector {
    const selector = this.#either();
    this.#taken(/\s*/y);
    if (this.#at < this.#text.length) throw this.#fault('its end');
    return selector;
  }

  #taken(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (!found) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }

  #either(): LabelSelector {
    const parts = [this.#both()];
    while (this.#taken(/\s*\|\|/y)) parts.push(this.#both());
    return either(parts);
  }

  #both(): LabelSelector {
    const parts = [this.#operation()];
    while (this.#taken(/\s*&&/y)) parts.push(this.#operation());
    return both(parts);
  }

  #operation(): LabelSelector {
    let isNegated = false;
    while (this.#taken(/\s*!(?!=)/y)) isNegated = !isNegated;
    const plain = this.#plain();
    return isNegated ? not(plain) : plain;
  }

  #plain(): LabelSelector {
    if (this.#taken(/\s*\(/y)) {
      this.#depth += 1;
      if (this.#depth > maxDepth) throw new SelectorFault(`nests more than ${maxDepth} deep`);
      const inner = this.#either();
      if (!this.#taken(/\s*\)/y)) throw this.#fault(')');
      this.#depth -= 1;
      return inner;
    }
    if (this.#taken(/\s*all\(\s*\)/y)) return everything;
    if (this.#taken(/\s*global\(\s*\)/y)) return nothing;
    const present = this.#taken(/\s*has\(\s*([\w./-]{1,512})\s*\)/y)?.[1];
    if (present !== undefined) return labelled(present, false, () => true);
    const label = this.#taken(/\s*([\w./-]{1,512})/y)?.[1];
    if (label === undefined) throw this.#fault('a label, all(), has(label) or (');
    return this.#comparison(label);
  }

  #comparison(label: string): LabelSelector {
    const operator = this.#taken(/\s*(==|!=|contains|starts\s*with|ends\s*with|not\s*in|in)/y)?.[1];
    if (operator === undefined) throw this.#fault('an operator');
    if (operator.endsWith('in')) {
      const values = this.#values();
      return operator === 'in'
        ? labelled(label, false, (value) => values.has(value))
        : labelled(label, true, (value) => !values.has(value));
    }
    const compare = comparisons.get(operator.replace(/\s*with$/, ' with'));
    if (!compare) throw this.#fault('an operator');
    const value = this.#string();
    if (value === undefined) throw this.#fault('a string in quotes');
    return compare(label, value);
  }

  #values(): ReadonlySet<string> {
    if (!this.#taken(/\s*\{/y)) throw this.#fault('{');
    const values = new Set<string>();
    for (let value = this.#string(); value !== undefined; value = this.#string()) {
      values.add(value);
      if (!this.#taken(/\s*,/y)) break;
    }
    if (!this.#taken(/\s*\}/y)) throw this.#fault('a string in quotes or }');
    return values;
  }

  #string(): string | undefined {
    const found = this.#taken(/\s*(?:'([^']*)'|"([^"]*)")/y);
    return found ? (found[1] ?? found[2] ?? '') : undefined;
  }

  #fault(expected: string): SelectorFault {
    return new SelectorFault(`has something else than ${expected} at character ${this.#at + 1}`);
  }
}
