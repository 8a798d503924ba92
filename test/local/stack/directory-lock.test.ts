import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { lockDirectory } from '../../../local/stack/directory-lock.ts';

describe("the lock of a stack's directory", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'lock-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('keeps a second stack out until the first lets go', async () => {
    const first = await lockDirectory(directory);
    await expect(lockDirectory(directory)).rejects.toThrow(`Another stack is running on ${directory}`);
    await first.release();
    await (await lockDirectory(directory)).release();
  });

  test('a holder that was killed does not keep anybody out', async () => {
    const module = path.resolve(import.meta.dirname, '../../../local/stack/directory-lock.ts');
    const script = `const { lockDirectory } = await import(${JSON.stringify(module)}); await lockDirectory(${JSON.stringify(directory)}); console.log('held'); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    await expect(lockDirectory(directory)).rejects.toThrow('Another stack is running');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await (await lockDirectory(directory)).release();
  });
});
