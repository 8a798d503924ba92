import type { APIGatewayProxyEvent } from 'aws-lambda';
import { routeTable } from '../../core/api/route-table.ts';
import { Problem } from '../../core/problem/problem.ts';

/** What no row matches: METHOD_NOT_ALLOWED with `Allow` where the path is known with other methods, else NOT_FOUND. */
export function otherwise({ httpMethod, path }: Pick<APIGatewayProxyEvent, 'httpMethod' | 'path'>): never {
  const allowed = new Set<string>();
  for (const key of Object.keys(routeTable)) {
    const [method = '', template = ''] = key.split(' ');
    if (fits(template, path)) allowed.add(method);
  }
  if (allowed.size === 0 || allowed.has(httpMethod)) throw new Problem('NOT_FOUND');
  const methods = [...allowed].sort().join(', ');
  throw new Problem('METHOD_NOT_ALLOWED', `Allowed: ${methods}.`, { headers: { Allow: methods } });
}

/** Whether a path is of a template: the same number of segments, `{name}` standing for any that is not empty. */
function fits(template: string, path: string): boolean {
  const [wanted, given] = [template.split('/'), path.split('/')];
  return (
    wanted.length === given.length &&
    wanted.every((segment, at) => (segment.startsWith('{') ? given[at] !== '' : segment === given[at]))
  );
}
