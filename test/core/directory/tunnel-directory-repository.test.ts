import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TunnelDirectoryRepository } from '../../../core/directory/tunnel-directory-repository.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

describe('tunnels in the directory', () => {
  let engine: Engine;
  let directory: TunnelDirectoryRepository;
  beforeAll(async () => {
    engine = await startEngine();
    directory = new TunnelDirectoryRepository(engine.dynamo, engine.tables.directory);
  });
  afterAll(() => engine.close());

  const at = (clusterId: string, taskId: string, nonce: number) => ({
    clusterId,
    taskId,
    nonce,
    fingerprint: `of ${taskId}`,
    now: nonce,
  });

  test('are held by whoever announced the newest session, in whatever order it is told', async () => {
    expect(await directory.announce(at('c-1', 'old', 10))).toBe(true);
    expect(await directory.announce(at('c-1', 'new', 20))).toBe(true);
    expect(await directory.announce(at('c-1', 'old', 15))).toBe(false);
    expect(await directory.announce(at('c-1', 'twin', 20))).toBe(false);
    expect(await directory.locate('c-1')).toEqual({
      clusterId: 'c-1',
      taskId: 'new',
      nonce: 20,
      state: 'connected',
      since: 20,
      fingerprint: 'of new',
    });
  });

  test('are not withdrawn by the end of an older session', async () => {
    await directory.announce(at('c-2', 'old', 10));
    await directory.announce(at('c-2', 'new', 20));
    expect(await directory.withdraw({ ...at('c-2', 'old', 10), now: 30 })).toBe(false);
    expect(await directory.locate('c-2')).toMatchObject({ state: 'connected', taskId: 'new' });
    expect(await directory.withdraw({ ...at('c-2', 'new', 20), now: 30 })).toBe(true);
    expect(await directory.locate('c-2')).toMatchObject({
      state: 'disconnected',
      since: 30,
      fingerprint: 'of new',
    });
    expect(await directory.announce(at('c-2', 'newer', 40))).toBe(true);
    expect(await directory.locate('c-2')).toMatchObject({ state: 'connected', taskId: 'newer' });
  });

  test('of many racing sessions end with the newest', async () => {
    const nonces = [5, 3, 9, 1, 7, 2, 8, 4, 6];
    await Promise.all(nonces.map((nonce) => directory.announce(at('c-3', `task-${nonce}`, nonce))));
    expect(await directory.locate('c-3')).toMatchObject({ taskId: 'task-9', nonce: 9 });
  });

  test('hang on their task’s lease: over with it, and not before', async () => {
    await directory.renewLease({ taskId: 'leased', address: '10.0.0.1:9443', validUntil: 1_000 });
    expect(await directory.lease('leased')).toEqual({
      taskId: 'leased',
      address: '10.0.0.1:9443',
      validUntil: 1_000,
    });
    await directory.announce(at('c-4', 'leased', 100));
    await directory.announce(at('c-5', 'never-leased', 100));
    const states = async (now: number) =>
      [...(await directory.locateAll(['c-4', 'c-5', 'c-never'], now)).values()]
        .sort((a, b) => a.clusterId.localeCompare(b.clusterId))
        .map(({ clusterId, state, since }) => [clusterId, state, since]);
    expect(await states(1_000)).toEqual([
      ['c-4', 'connected', 100],
      ['c-5', 'disconnected', 100],
    ]);
    expect(await states(1_001)).toEqual([
      ['c-4', 'disconnected', 1_000],
      ['c-5', 'disconnected', 100],
    ]);
  });

  test('of 200 clusters are told at once, for half a unit each', async () => {
    const ids = Array.from({ length: 200 }, (_, index) => `c-many-${index}`);
    await Promise.all(ids.map((id) => directory.announce(at(id, 'leased', 100))));
    const units = await engine.units(async () => {
      expect((await directory.locateAll(ids, 500)).size).toBe(200);
    });
    if (unitsAreExact) expect(units).toEqual({ read: 100.5, write: 0 });
    expect(await engine.units(() => directory.locateAll([], 500))).toEqual({ read: 0, write: 0 });
  });
});
