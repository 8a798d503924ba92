import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { withFileLock } from '../../cli/file-lock.ts';

describe('a file lock', () => {
  let home: string;
  let file: string;
  beforeEach(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-lock-'));
    file = path.join(home, 'within', 'it.lock');
  });
  afterEach(() => rm(home, { recursive: true }));
  const options = { waitMs: 5_000, staleMs: 60_000 };

  test('lets one in at a time, and loses no change', async () => {
    const counter = path.join(home, 'counter');
    await writeFile(counter, '0');
    let inside = 0;
    await Promise.all(
      Array.from({ length: 20 }, () =>
        withFileLock(
          file,
          async () => {
            inside += 1;
            expect(inside).toBe(1);
            await writeFile(counter, String(Number(await readFile(counter, 'utf8')) + 1));
            inside -= 1;
          },
          options,
        ),
      ),
    );
    expect(await readFile(counter, 'utf8')).toBe('20');
    expect(existsSync(file)).toBe(false);
  });

  test('is let go when the work fails', async () => {
    await expect(withFileLock(file, () => Promise.reject(new Error('no')), options)).rejects.toThrow('no');
    expect(await withFileLock(file, () => Promise.resolve('yes'), options)).toBe('yes');
  });

  test('that is held is waited for, and then named: failed', async () => {
    await withFileLock(
      file,
      async () => {
        const second = withFileLock(file, () => Promise.resolve(), { ...options, waitMs: 40 });
        await expect(second).rejects.toMatchObject({
          kind: 'failed',
          message: expect.stringContaining(file),
        });
      },
      options,
    );
  });

  test('of a holder that does not say who it is, as kubectl’s, is never put aside while it is young', async () => {
    await withFileLock(file, () => Promise.resolve(), options);
    await writeFile(file, '');
    const waiting = withFileLock(file, () => Promise.resolve(), { waitMs: 40, staleMs: Infinity });
    await expect(waiting).rejects.toMatchObject({ kind: 'failed' });
    expect(existsSync(file)).toBe(true);
  });
});
