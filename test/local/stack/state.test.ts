import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readState, removeState, type StackState, writeState } from '../../../local/stack/state.ts';

const state: StackState = {
  apiUrl: 'https://127.0.0.1:8443',
  accessUrl: 'https://127.0.0.1:9443',
  tunnelAddress: '127.0.0.1:9000',
  caFile: '/somewhere/ca.pem',
  adminToken: 'cak_secret',
  tenantId: 't-demo',
  demoClusterId: 'c-demo',
};
const operator = {
  endpoint: 'http://127.0.0.1:1',
  region: 'us-east-1',
  functionName: 'operator',
  credentials: { accessKeyId: 'id', secretAccessKey: 'secret', sessionToken: 'session' },
};

describe('the state that a running stack leaves for others', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'state-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('stack.json holds what the README promises, readable by its owner alone', async () => {
    await writeState(directory, state, operator);
    expect(JSON.parse(await readFile(path.join(directory, 'stack.json'), 'utf8'))).toEqual(state);
    expect((await readdir(directory)).sort()).toEqual(['operator.json', 'stack.json']);
    for (const file of await readdir(directory))
      expect((await stat(path.join(directory, file))).mode & 0o777).toBe(0o600);
    expect(await readState(directory)).toEqual({ stack: state, operator });
  });

  test('a file that others could read is replaced by one that they cannot', async () => {
    const file = path.join(directory, 'stack.json');
    await writeFile(file, '{}');
    await chmod(file, 0o644);
    await writeState(directory, state, operator);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test('whoever reads while it is written sees one state or the other, whole', async () => {
    await writeState(directory, state, operator);
    const large = { ...state, adminToken: 'x'.repeat(200_000) };
    const lengths = new Set<number | undefined>();
    for (let count = 0; count < 30; count++) {
      const writing = writeState(directory, count % 2 ? state : large, operator);
      const reads = await Promise.all(Array.from({ length: 5 }, () => readState(directory)));
      for (const read of reads) lengths.add(read?.stack.adminToken.length);
      await writing;
    }
    expect([...lengths].every((length) => length === 10 || length === 200_000)).toBe(true);
    expect((await readdir(directory)).sort()).toEqual(['operator.json', 'stack.json']);
  });

  test('when it cannot be written, nothing is', async () => {
    await expect(writeState(path.join(directory, 'missing'), state, operator)).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(await readdir(directory)).toEqual([]);
  });

  test('without a running stack there is no state, also after it was removed', async () => {
    expect(await readState(directory)).toBeUndefined();
    await writeState(directory, state, operator);
    await removeState(directory);
    expect(await readdir(directory)).toEqual([]);
    expect(await readState(directory)).toBeUndefined();
    await removeState(directory);
  });

  test('a file of another shape is an error, not half a state', async () => {
    await writeState(directory, state, operator);
    await writeFile(path.join(directory, 'stack.json'), '{"apiUrl":"https://127.0.0.1:8443"}');
    await expect(readState(directory)).rejects.toThrow('accessUrl');
  });
});
