import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { StoredStatement } from '../../../core/image/exception-schema.ts';
import { withStatements } from '../../../functions/image-scan/statements.ts';

const said = (of: Partial<StoredStatement> & { about?: string } = {}): StoredStatement => {
  const { about = 'pkg:oci/web', ...rest } = of;
  return {
    author: 'vendor',
    vulnerability: 'CVE-1',
    aliases: [],
    products: [{ id: about, subcomponents: [] }],
    status: 'not_affected',
    at: 1,
    ...rest,
  };
};
const copyOf = (statements: readonly StoredStatement[]) =>
  JSON.parse(JSON.stringify(statements)) as StoredStatement[];
const told = { stored: 0, unchanged: 0, outdated: 0, superseded: 0 };

describe('statements of a VEX document', () => {
  test('stand behind those that are stored', () => {
    const [first, second] = [said(), said({ vulnerability: 'CVE-2' })];
    expect(withStatements([first], [second])).toEqual({
      statements: [first, second],
      told: { ...told, stored: 1 },
    });
  });

  test('change nothing when they come again', () => {
    const stored = [said(), said({ vulnerability: 'CVE-2' })];
    const again = withStatements(stored, copyOf(stored));
    expect(again.statements).toBe(stored);
    expect(again.told).toEqual({ ...told, unchanged: 2 });
  });

  test('replace what the same author has said before about the same, whatever the case of its name', () => {
    const newer = said({ vulnerability: 'cve-1', status: 'affected', at: 2 });
    expect(withStatements([said()], [newer])).toEqual({
      statements: [newer],
      told: { ...told, stored: 1, superseded: 1 },
    });
  });

  test('that are older than what the author has said since are not stored', () => {
    const stored = [said({ status: 'affected', at: 2 })];
    const late = withStatements(stored, [said()]);
    expect(late.statements).toBe(stored);
    expect(late.told).toEqual({ ...told, outdated: 1 });
  });

  test('of one time: the one that comes last counts', () => {
    const last = said({ status: 'affected' });
    expect(withStatements([said()], [last]).statements).toEqual([last]);
    expect(withStatements([], [said(), last])).toEqual({
      statements: [last],
      told: { ...told, stored: 1, outdated: 1 },
    });
  });

  test('of one author leave those of another alone', () => {
    const stored = [said({ author: 'we' })];
    expect(withStatements(stored, [said({ status: 'affected', at: 9 })]).statements).toHaveLength(2);
  });

  test('take an older statement out product by product, sub-components and all', () => {
    const both = said({
      products: [
        { id: 'pkg:oci/web', subcomponents: [] },
        { id: 'pkg:oci/web', subcomponents: ['pkg:deb/a', 'pkg:deb/b'] },
      ],
    });
    const newer = said({
      at: 2,
      products: [{ id: 'pkg:oci/web', subcomponents: ['pkg:deb/b', 'pkg:deb/a'] }],
    });
    const { statements, told: counted } = withStatements([both], [newer]);
    expect(statements).toEqual([said(), newer]);
    expect(counted).toEqual({ ...told, stored: 1 });
  });

  test('leave one statement about each thing that an author speaks of, the latest, however they come', () => {
    const statement = fc
      .record({
        author: fc.constantFrom('a', 'b'),
        vulnerability: fc.constantFrom('CVE-1', 'cve-1', 'CVE-2'),
        status: fc.constantFrom('affected' as const, 'fixed' as const),
        at: fc.integer({ min: 0, max: 3 }),
        ids: fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { minLength: 1 }),
      })
      .map(({ ids, ...rest }) => ({
        ...rest,
        aliases: [],
        products: ids.map((id) => ({ id, subcomponents: [] })),
      }));
    const documents = fc.array(fc.array(statement, { maxLength: 6 }), { maxLength: 5 });
    fc.assert(
      fc.property(documents, (all) => {
        const end = all.reduce<readonly StoredStatement[]>(
          (stored, document) => withStatements(stored, document).statements,
          [],
        );
        const subjects = end.flatMap((each) =>
          each.products.map(({ id }) => `${each.author} ${each.vulnerability.toUpperCase()} ${id}`),
        );
        expect(new Set(subjects).size).toBe(subjects.length);
        for (const { author, vulnerability, at, products } of all.flat()) {
          for (const { id } of products) {
            const kept = end.find(
              (each) =>
                each.author === author &&
                each.vulnerability.toUpperCase() === vulnerability.toUpperCase() &&
                each.products.some((product) => product.id === id),
            );
            expect(kept?.at).toBeGreaterThanOrEqual(at);
          }
        }
        expect(withStatements(end, copyOf(end)).statements).toBe(end);
      }),
      { seed: 6, numRuns: 300 },
    );
  });
});
