import { isDeepStrictEqual } from 'node:util';
import type { StoredStatement } from '../../core/image/exception-schema.ts';
import type { StatementsTaken } from '../../core/image/statements-schema.ts';

type Product = StoredStatement['products'][number];

export type Merged = {
  /** The very array that was given if nothing changes. */
  readonly statements: readonly StoredStatement[];
  readonly told: StatementsTaken['statements'];
};

/**
 * The stored statements with those of a document of one author. Of what an author has said about a vulnerability in a
 * product the latest counts, of one time what came last; so the older is taken out, product by product, and a statement
 * that is left without any goes. The same document again changes nothing. What other authors have said stays as it is.
 */
export function withStatements(
  stored: readonly StoredStatement[],
  document: readonly StoredStatement[],
): Merged {
  // Told apart from the stored ones by what they are, not by what they say.
  const said = document.map((each) => ({ ...each }));
  /** Which statement counts about what. Later ones stand behind earlier ones. */
  const counting = new Map<string, StoredStatement>();
  const before = new Set(stored);
  for (const statement of stored) {
    for (const product of statement.products) counting.set(subject(statement, product), statement);
  }
  for (const statement of said) {
    for (const product of statement.products) {
      const about = subject(statement, product);
      const other = counting.get(about);
      if (other === undefined || (other.at <= statement.at && !saysTheSame(other, statement))) {
        counting.set(about, statement);
      }
    }
  }

  const told = { stored: 0, unchanged: 0, outdated: 0, superseded: 0 };
  for (const statement of said) {
    const others = statement.products.map((product) => counting.get(subject(statement, product)));
    if (others.includes(statement)) told.stored += 1;
    else if (others.every((other) => other && saysTheSame(other, statement))) told.unchanged += 1;
    else told.outdated += 1;
  }
  const merged = [...stored, ...said].flatMap((statement) => {
    const products = statement.products.filter(
      (product) => counting.get(subject(statement, product)) === statement,
    );
    if (products.length === statement.products.length) return [statement];
    if (products.length === 0 && before.has(statement)) told.superseded += 1;
    return products.length === 0 ? [] : [{ ...statement, products }];
  });
  return { statements: told.stored === 0 ? stored : merged, told };
}

/** Equal for what one author says about one vulnerability in one product. */
export const subject = ({ author, vulnerability }: StoredStatement, { id, subcomponents }: Product): string =>
  JSON.stringify([author, vulnerability.toUpperCase(), id, [...subcomponents].sort()]);

/** But for the products, of which each is looked at by itself. */
function saysTheSame(one: StoredStatement, other: StoredStatement): boolean {
  const { products: _ofOne, ...first } = one;
  const { products: _ofOther, ...second } = other;
  return isDeepStrictEqual(first, second);
}
