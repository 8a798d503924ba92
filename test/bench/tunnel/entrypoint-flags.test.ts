import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { entrypointFlags } from '../../../bench/tunnel/entrypoint-flags.ts';

test("gives Node's flags, without the program and its file", () => {
  expect(entrypointFlags('FROM x\nENTRYPOINT ["node", "--one", "--two=2", "index.mjs"]\n')).toEqual([
    '--one',
    '--two=2',
  ]);
});

test("the image's own entry point can be read", async () => {
  const file = path.join(import.meta.dirname, '../../../tunnel-fargate/Dockerfile');
  expect(entrypointFlags(await readFile(file, 'utf8'))).toContain('--enable-source-maps');
});

test.each([['FROM x'], ['ENTRYPOINT node index.mjs'], ['ENTRYPOINT ["sh", "-c", "node"]']])(
  'refuses %j',
  (dockerfile) => {
    expect(() => entrypointFlags(dockerfile)).toThrow();
  },
);
