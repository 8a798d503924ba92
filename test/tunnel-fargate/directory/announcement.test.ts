import { describe, expect, test } from '@jest/globals';
import { monotonicNonce, TunnelAnnouncement } from '../../../tunnel-fargate/directory/announcement.ts';
import { clusterA, FakeDirectory, recordingLogger, until } from '../tunnel-fixture.ts';

const now = 1_000_000;

function announce(directory: FakeDirectory, changed: { nonce?: number; taskId?: string } = {}) {
  const state = { superseded: false };
  const announcement = new TunnelAnnouncement({
    directory,
    clusterId: clusterA,
    fingerprint: 'its certificate',
    taskId: 'task-1',
    nonce: 100,
    since: now - 5,
    now: () => now,
    retryMs: 5,
    logger: recordingLogger().logger,
    onSuperseded: () => (state.superseded = true),
    ...changed,
  });
  return { announcement, state };
}
const standing = (changed: object) => ({
  clusterId: clusterA,
  taskId: 'task-0',
  nonce: 200,
  state: 'connected' as const,
  since: 1,
  ...changed,
});

describe('the entry of a tunnel', () => {
  test('is written with its certificate, its nonce and the beginning of the session, and withdrawn', async () => {
    const directory = new FakeDirectory();
    const { announcement } = announce(directory);
    await until(() => directory.tunnels.has(clusterA));
    expect(directory.tunnels.get(clusterA)).toEqual({
      clusterId: clusterA,
      taskId: 'task-1',
      nonce: 100,
      state: 'connected',
      since: now - 5,
      fingerprint: 'its certificate',
    });
    await announcement.withdraw();
    expect(directory.tunnels.get(clusterA)).toMatchObject({ state: 'disconnected', since: now });
  });

  test('is written as soon as the directory answers again', async () => {
    const directory = new FakeDirectory();
    directory.failing = true;
    const { announcement } = announce(directory);
    await until(() => directory.asked > 2);
    directory.failing = false;
    await until(() => directory.tunnels.has(clusterA));
    await announcement.withdraw();
  });

  test('gives way to a newer session at a living task', async () => {
    const directory = new FakeDirectory();
    directory.tunnels.set(clusterA, standing({}));
    directory.leases.set('task-0', { taskId: 'task-0', address: '', validUntil: now + 1 });
    const { announcement, state } = announce(directory);
    await until(() => state.superseded);
    await announcement.withdraw();
    expect(directory.tunnels.get(clusterA)).toEqual(standing({}));
  });

  test.each([
    ['of a task whose lease is over', standing({})],
    ['that was withdrawn', standing({ state: 'disconnected' })],
  ])('takes the place of an entry %s, though its clock was ahead', async (_case, entry) => {
    const directory = new FakeDirectory();
    directory.tunnels.set(clusterA, entry);
    directory.leases.set('task-0', { taskId: 'task-0', address: '', validUntil: now - 1 });
    const { announcement, state } = announce(directory);
    await until(() => directory.tunnels.get(clusterA)?.taskId === 'task-1');
    expect(directory.tunnels.get(clusterA)).toMatchObject({ nonce: 201, state: 'connected' });
    await announcement.withdraw();
    expect(directory.tunnels.get(clusterA)?.state).toBe('disconnected');
    expect(state.superseded).toBe(false);
  });

  test('leaves the entry of a newer session of the same task alone', async () => {
    const directory = new FakeDirectory();
    directory.tunnels.set(clusterA, standing({ taskId: 'task-1' }));
    const { announcement } = announce(directory);
    await announcement.withdraw();
    expect(directory.tunnels.get(clusterA)?.state).toBe('connected');
  });

  test('that stands already, because the answer to the first write was lost, is ours', async () => {
    const directory = new FakeDirectory();
    directory.tunnels.set(clusterA, standing({ taskId: 'task-1', nonce: 100 }));
    const { announcement } = announce(directory);
    await until(() => directory.asked >= 2);
    await announcement.withdraw();
    expect(directory.tunnels.get(clusterA)?.state).toBe('disconnected');
  });

  test('that cannot be withdrawn is left to the end of the lease, without an error', async () => {
    const directory = new FakeDirectory();
    const { announcement } = announce(directory);
    await until(() => directory.tunnels.has(clusterA));
    directory.failing = true;
    await expect(announcement.withdraw()).resolves.toBeUndefined();
  });
});

describe('the nonces of a task', () => {
  test('rise, also when the clock stands or goes back', () => {
    const times = [10, 10, 5, 20];
    const next = monotonicNonce(() => times.shift() ?? 0);
    expect([next(), next(), next(), next()]).toEqual([10, 11, 12, 20]);
  });
});
