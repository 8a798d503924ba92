import * as z from 'zod';
import { listedStatement, type ListedStatement } from '../core/image/statements-schema.ts';
import type { ApiClient } from './api-client.ts';
import { span, table } from './table.ts';

const path = '/v1/image-statements';
/** What is read here; whatever else the API tells is passed on to those who ask for JSON. */
const listed = z.looseObject(listedStatement.shape);

type Filter = Readonly<Record<'vulnerability' | 'author' | 'status', string | undefined>>;

/** What authors of VEX documents say, the latest first; with a filter what has all of it. */
export const listStatements = (api: ApiClient, filter: Filter): Promise<ListedStatement[]> =>
  api.list(
    listed,
    path,
    Object.fromEntries(
      Object.entries(filter).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  );

export const removeStatement = (api: ApiClient, statementId: string): Promise<void> =>
  api.delete(`${path}/${encodeURIComponent(statementId)}`);

/** All of one author. */
export const removeStatementsOf = (api: ApiClient, author: string): Promise<void> =>
  api.delete(`${path}?${new URLSearchParams({ author }).toString()}`);

/** `now`: epoch milliseconds. */
export const statementTable = (statements: readonly ListedStatement[], now: number): string =>
  statements.length === 0
    ? 'There are no statements.\n'
    : table(
        ['ID', 'VULNERABILITY', 'STATUS', 'JUSTIFICATION', 'PRODUCT', 'SAID', 'BY'],
        statements.map((each) => [
          each.statementId,
          each.vulnerability,
          each.status,
          each.justification ?? '-',
          productOf(each),
          `${span(now - Date.parse(each.at))} ago`,
          each.author,
        ]),
      );

/** The product, and what in it: `pkg:oci/web: pkg:deb/debian/libc6`. */
function productOf({ product: { id, subcomponents, more = 0 } }: ListedStatement): string {
  const [first] = subcomponents;
  const others = subcomponents.length - 1 + more;
  return first === undefined ? id : `${id}: ${first}${others > 0 ? ` and ${others} more` : ''}`;
}
