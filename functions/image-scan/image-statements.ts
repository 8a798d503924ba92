import { createHash } from 'node:crypto';
import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page } from '../../core/api/page.ts';
import type { Caller } from '../../core/credential/caller.ts';
import type { StoredStatement } from '../../core/image/exception-schema.ts';
import type { ListedStatement, StatementsQuery } from '../../core/image/statements-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import { type ExceptionDependencies, rulesPart } from './image-exceptions.ts';
import { subject } from './statements.ts';

type Product = StoredStatement['products'][number];
type Removal = Pick<ExceptionDependencies, 'rules' | 'logger'>;

const listName = 'image-statements';
/** A document may name as many sub-components as fit into it. With these, and 1,000 aliases, an entry is below 2 MB. */
const shownSubcomponents = 100;
/** A page ends after so many bytes (Lambda answers 6 MB at most). */
const maxPageBytes = 2 * 1024 * 1024;

/**
 * A page of what authors say about products, the latest first; it may end early, with a cursor, after 2 MB. What is said
 * between two pages stands before them, not on those that follow. Units: those of reading the rules. Throws
 * INVALID_CURSOR.
 */
export async function listStatements(
  { rules }: Pick<ExceptionDependencies, 'rules'>,
  tenantId: string,
  { limit, cursor, vulnerability, author, status }: StatementsQuery,
): Promise<Page<ListedStatement>> {
  const after = decodeCursor(tenantId, listName, cursor);
  const { statements } = await reached(rulesPart, rules.find(tenantId));
  const wanted = statements
    .filter((each) => vulnerability === undefined || isNamed(each, vulnerability))
    .filter((each) => author === undefined || each.author === author)
    .filter((each) => status === undefined || each.status === status);
  const places = new Map<string, { statement: StoredStatement; product: Product; statementId: string }>();
  for (const statement of wanted) {
    for (const product of statement.products) {
      const statementId = idOf(statement, product);
      const place = `${String(statement.at).padStart(15, '0')}#${statementId}`;
      if (after === undefined || place < after) places.set(place, { statement, product, statementId });
    }
  }

  const items: ListedStatement[] = [];
  let [bytes, last] = [0, ''];
  for (const [place, entry] of [...places].sort(([a], [b]) => (a < b ? 1 : -1))) {
    if (items.length >= limit || bytes >= maxPageBytes) {
      return { items, nextCursor: encodeCursor(tenantId, listName, last) };
    }
    const shown = listed(entry.statement, entry.product, entry.statementId);
    items.push(shown);
    bytes += Buffer.byteLength(JSON.stringify(shown));
    last = place;
  }
  return { items };
}

/**
 * Takes away what an author says about a vulnerability in a product, and verdicts follow at once; what the statement
 * says about other products stays. Throws NOT_FOUND, CONFLICT. Units: those of a change of the rules.
 */
export async function removeStatement(
  deps: Removal,
  { tenantId, principal }: Caller,
  statementId: string,
): Promise<void> {
  await remove(deps, tenantId, (statement, product) => idOf(statement, product) === statementId);
  deps.logger.info('image statement removed', { tenantId, principal, statementId });
}

/** Takes away all that an author has said; else as `removeStatement`. */
export async function removeStatementsOf(
  deps: Removal,
  { tenantId, principal }: Caller,
  author: string,
): Promise<void> {
  await remove(deps, tenantId, (statement) => statement.author === author);
  deps.logger.info('image statements of an author removed', { tenantId, principal, author });
}

async function remove(
  { rules }: Removal,
  tenantId: string,
  isMeant: (statement: StoredStatement, product: Product) => boolean,
): Promise<void> {
  await reached(
    rulesPart,
    rules.change(tenantId, (before) => {
      const statements = before.statements.flatMap((statement) => {
        const products = statement.products.filter((product) => !isMeant(statement, product));
        if (products.length === statement.products.length) return [statement];
        return products.length === 0 ? [] : [{ ...statement, products }];
      });
      if (before.statements.every((each, at) => each === statements[at])) throw new Problem('NOT_FOUND');
      return { ...before, statements };
    }),
  );
}

/** 128 bits of a hash: whoever writes documents must not find two that share an ID. */
const idOf = (statement: StoredStatement, product: Product): string =>
  base32(createHash('sha256').update(subject(statement, product)).digest().subarray(0, 16));

const isNamed = ({ vulnerability, aliases }: StoredStatement, name: string): boolean =>
  [vulnerability, ...aliases].some((each) => each.toUpperCase() === name.toUpperCase());

function listed(
  { author, vulnerability, aliases, status, justification, at }: StoredStatement,
  { id, subcomponents }: Product,
  statementId: string,
): ListedStatement {
  const more = subcomponents.length - shownSubcomponents;
  return {
    statementId,
    author,
    vulnerability,
    aliases: [...aliases],
    product: {
      id,
      subcomponents: subcomponents.slice(0, shownSubcomponents),
      ...(more > 0 ? { more } : {}),
    },
    status,
    ...(justification === undefined ? {} : { justification }),
    at: new Date(at).toISOString(),
  };
}
