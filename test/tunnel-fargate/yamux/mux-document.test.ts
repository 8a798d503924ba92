import { glob, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../../..');

/** What stands first in the parentheses of test(…) and test.each(…)(…). */
const titleOf = /(?:\btest|\))\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g;

async function titles(): Promise<Set<string>> {
  const found = new Set<string>();
  for (const pattern of [
    'test/tunnel-fargate/yamux/*.test.ts',
    'test/tunnel-fargate/agent/window-memory.test.ts',
  ]) {
    for await (const file of glob(pattern, { cwd: root })) {
      const source = await readFile(path.join(root, file), 'utf8');
      for (const [, single, double] of source.matchAll(titleOf)) found.add(single ?? double ?? '');
    }
  }
  return found;
}

/** The names in the last column; a name of a test has a space, that of a file none. */
function named(page: string): string[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .flatMap((line) => [...(line.split('|').at(-2) ?? '').matchAll(/`([^`]* [^`]*)`/g)])
    .map(([, name = '']) => name);
}

test('every test that docs/mux.md names exists, and every rule there names one', async () => {
  const page = await readFile(path.join(root, 'docs/mux.md'), 'utf8');
  const existing = await titles();
  expect(named(page).filter((name) => !existing.has(name))).toEqual([]);
  const rules = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| Rule '));
  expect(rules.length).toBeGreaterThan(30);
  expect(rules.filter((line) => named(line).length === 0)).toEqual([]);
});

test('every file of the mux is named in docs/mux.md or holds no rule of the wire', async () => {
  const page = await readFile(path.join(root, 'docs/mux.md'), 'utf8');
  const files: string[] = [];
  for await (const file of glob('tunnel-fargate/yamux/*.ts', { cwd: root })) files.push(path.basename(file));
  const unnamed = files.filter((file) => !page.includes(`\`${file}\``)).sort();
  expect(unnamed).toEqual(['error.ts', 'stream.ts']);
});
