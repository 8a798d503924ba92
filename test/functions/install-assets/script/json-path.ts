/** What kubectl's `-o jsonpath=…` gives, as far as scripts use it; throws for what is not known here. */
export function jsonPath(template: string, root: unknown): string {
  return render(parts(template), root, root);
}

type Part =
  | { readonly text: string }
  | { readonly expression: string }
  | { readonly range: string; readonly body: Part[] };

/** Text and what stands in braces; the parts between `{range …}` and `{end}` are its body. */
function parts(template: string): Part[] {
  const tokens = template.match(/\{(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^{}"'])*\}|[^{]+/g) ?? [];
  if (tokens.join('') !== template) throw new Error(`unknown JSONPath: ${template}`);
  const stack: Part[][] = [[]];
  for (const token of tokens) {
    const inner = stack.at(-1) ?? [];
    if (!token.startsWith('{')) {
      inner.push({ text: token });
      continue;
    }
    const expression = token.slice(1, -1).trim();
    if (expression === 'end') stack.pop();
    else if (expression.startsWith('range ')) {
      const body: Part[] = [];
      inner.push({ range: expression.slice(6).trim(), body });
      stack.push(body);
    } else inner.push({ expression });
  }
  const [whole] = stack;
  if (stack.length !== 1 || !whole) throw new Error(`a range without its end: ${template}`);
  return whole;
}

const render = (some: readonly Part[], current: unknown, root: unknown): string =>
  some
    .map((part) => {
      if ('text' in part) return part.text;
      if ('range' in part)
        return select(part.range, current, root)
          .map((each) => render(part.body, each, root))
          .join('');
      if (/^["']/.test(part.expression)) return literal(part.expression);
      return select(part.expression, current, root).map(shown).join(' ');
    })
    .join('');

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t' };
const literal = (quoted: string): string =>
  quoted.slice(1, -1).replaceAll(/\\(.)/g, (_, char: string) => escapes[char] ?? char);

const shown = (value: unknown): string =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);

const step = /^(?:\.\.?)?(?:\[(\*|-?\d+|-?\d*:-?\d*|\?\(.*?\)|'[^']*'|"[^"]*")\]|(\*|(?:[\w@/-]|\\.)+))/;

/** The values at the path; what is missing gives none, as kubectl does. */
function select(expression: string, current: unknown, root: unknown): unknown[] {
  let rest = expression;
  let found: unknown[] = [current];
  if (rest.startsWith('$')) [rest, found] = [rest.slice(1), [root]];
  else if (rest.startsWith('@')) rest = rest.slice(1);
  while (rest !== '' && rest !== '.') {
    const [whole = '', bracket, name] = step.exec(rest) ?? [];
    if (whole === '' || whole.startsWith('..')) throw new Error(`unknown JSONPath: ${expression}`);
    found = found.flatMap((value) => children(value, bracket, name?.replaceAll(/\\(.)/g, '$1'), root));
    rest = rest.slice(whole.length);
  }
  return found.filter((value) => value !== undefined && value !== null);
}

function children(
  value: unknown,
  bracket: string | undefined,
  name: string | undefined,
  root: unknown,
): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  const all: unknown[] = Array.isArray(value) ? value : Object.values(value);
  if (name === '*' || bracket === '*') return all;
  if (name !== undefined) return [(value as Record<string, unknown>)[name]];
  if (bracket === undefined) return [];
  if (/^["']/.test(bracket)) return [(value as Record<string, unknown>)[bracket.slice(1, -1)]];
  if (bracket.startsWith('?(')) return all.filter((each) => holds(bracket.slice(2, -1), each, root));
  if (bracket.includes(':')) {
    const [from = '', to = ''] = bracket.split(':');
    return all.slice(from === '' ? 0 : Number(from), to === '' ? undefined : Number(to));
  }
  return [all.at(Number(bracket))];
}

function holds(condition: string, each: unknown, root: unknown): boolean {
  const [, left = '', operator, right = ''] =
    /^\s*(@[^=!<>\s]*)\s*(?:(==|!=)\s*(.*?))?\s*$/.exec(condition) ?? [];
  if (left === '') throw new Error(`unknown condition: ${condition}`);
  const [value] = select(left, each, root);
  if (operator === undefined) return value !== undefined;
  const other = /^["']/.test(right) ? literal(right) : right;
  const same = value !== undefined && shown(value) === other;
  return operator === '==' ? same : !same;
}
