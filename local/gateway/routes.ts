import type { Api, ApiMethod } from '../template/api.ts';

export type Match =
  | {
      readonly kind: 'method';
      readonly method: ApiMethod;
      readonly pathParameters: Readonly<Record<string, string>> | null;
    }
  | { readonly kind: 'none' };

/** Finds the method for a request as API Gateway does: literal segments before variables before a greedy `{proxy+}`, a method before `ANY`. */
export function matcher(api: Api): (httpMethod: string, path: string) => Match {
  const resources = new Map<string, ApiMethod[]>();
  for (const method of api.methods)
    resources.set(method.resource, [...(resources.get(method.resource) ?? []), method]);
  const templates = [...resources.keys()].sort((a, b) => compare(a, b));

  return (httpMethod, path) => {
    for (const template of templates) {
      const pathParameters = fit(template, path);
      if (!pathParameters) continue;
      const methods = resources.get(template) ?? [];
      const method =
        methods.find((one) => one.httpMethod === httpMethod) ??
        methods.find((one) => one.httpMethod === 'ANY');
      if (method)
        return {
          kind: 'method',
          method,
          pathParameters: Object.keys(pathParameters).length > 0 ? pathParameters : null,
        };
    }
    return { kind: 'none' };
  };
}

/** Literal first at the first segment where two templates differ. */
function compare(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = rank(left[index]) - rank(right[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}

const rank = (segment: string | undefined): number =>
  segment === undefined ? 0 : segment.endsWith('+}') ? 3 : segment.startsWith('{') ? 2 : 1;

/** The path parameters, decoded once, when the path fits the template; a malformed escape fits nothing. */
function fit(template: string, path: string): Record<string, string> | undefined {
  const wanted = template.split('/').slice(1);
  const given = path.split('/').slice(1);
  const parameters: Record<string, string> = {};
  try {
    for (const [index, segment] of wanted.entries()) {
      const name = /^\{(.+?)(\+?)\}$/.exec(segment);
      const value = given[index];
      if (name?.[2] && name[1]) {
        const rest = given.slice(index).join('/');
        if (rest === '') return undefined;
        return { ...parameters, [name[1]]: decodeURIComponent(rest) };
      }
      if (value === undefined || value === '' ? segment !== '' : name === null && value !== segment)
        return undefined;
      if (name?.[1] && value !== undefined) parameters[name[1]] = decodeURIComponent(value);
    }
  } catch {
    return undefined;
  }
  return given.length === wanted.length ? parameters : undefined;
}
