import { describe, expect, test } from '@jest/globals';
import type { ClusterLink } from '../../../tunnel-fargate/agent/cluster-link.ts';
import { type LocalLinks, OneTaskRouter } from '../../../tunnel-fargate/directory/router.ts';
import { clusterA, FakeDirectory, tenantA } from '../tunnel-fixture.ts';

const now = 1_000_000_000;
const link: ClusterLink = {
  clusterId: clusterA,
  tenantId: tenantA,
  request: () => Promise.reject(new Error('not in this test')),
  upgrade: () => Promise.reject(new Error('not in this test')),
};

/** Links of which one may come while it is waited for. */
class FakeLinks implements LocalLinks {
  present: ClusterLink | undefined;
  coming: ClusterLink | undefined;
  revoked = new Set<string>();
  waits: number[] = [];

  get(): ClusterLink | undefined {
    return this.present;
  }
  wasRevoked(clusterId: string): boolean {
    return this.revoked.has(clusterId);
  }
  ended: number | undefined;
  endedAt(): number | undefined {
    return this.ended;
  }
  waitFor(_clusterId: string, ms: number): Promise<ClusterLink | undefined> {
    this.waits.push(ms);
    return Promise.resolve(this.coming);
  }
}

function router() {
  const links = new FakeLinks();
  const directory = new FakeDirectory();
  return { links, directory, router: new OneTaskRouter({ links, directory, now: () => now }) };
}
const entry = (changed: object) => ({
  clusterId: clusterA,
  taskId: 'task-0',
  nonce: 1,
  state: 'connected' as const,
  since: now - 3_600_000,
  ...changed,
});

describe('the way into a cluster', () => {
  test('is the live session, without asking the directory', async () => {
    const { links, directory, router: routes } = router();
    links.present = link;
    directory.failing = true;
    expect(await routes.route(clusterA)).toEqual({ kind: 'link', link });
  });

  test('of one that was never connected is absent at once', async () => {
    const { links, router: routes } = router();
    expect(await routes.route(clusterA)).toEqual({ kind: 'absent', since: undefined });
    expect(links.waits).toEqual([]);
  });

  test('of one that left a moment ago is waited for', async () => {
    const { links, directory, router: routes } = router();
    directory.tunnels.set(clusterA, entry({ state: 'disconnected', since: now - 2_000 }));
    links.coming = link;
    expect(await routes.route(clusterA, { waitMs: 700 })).toEqual({ kind: 'link', link });
    expect(links.waits).toEqual([700]);
  });

  test('of one that left a moment ago and does not return is absent since then, after the wait', async () => {
    const { links, directory, router: routes } = router();
    directory.tunnels.set(clusterA, entry({ state: 'disconnected', since: now - 2_000 }));
    expect(await routes.route(clusterA)).toEqual({ kind: 'absent', since: now - 2_000 });
    expect(links.waits).toEqual([5_000]);
  });

  test('of one that left a moment ago because its certificate was revoked is absent at once', async () => {
    const { links, directory, router: routes } = router();
    directory.tunnels.set(clusterA, entry({ state: 'disconnected', since: now - 2_000 }));
    links.revoked.add(clusterA);
    links.coming = link;
    expect(await routes.route(clusterA)).toEqual({ kind: 'absent', since: now - 2_000 });
    expect(links.waits).toEqual([]);
    // It may come with another certificate.
    links.present = link;
    expect(await routes.route(clusterA)).toEqual({ kind: 'link', link });
  });

  test('of one that left long ago is absent since then, at once', async () => {
    const { links, directory, router: routes } = router();
    directory.tunnels.set(clusterA, entry({ state: 'disconnected', since: now - 600_000 }));
    expect(await routes.route(clusterA)).toEqual({ kind: 'absent', since: now - 600_000 });
    expect(links.waits).toEqual([]);
  });

  test('of one that another living task holds is waited for: one of the two tasks is being replaced', async () => {
    const { links, directory, router: routes } = router();
    directory.tunnels.set(clusterA, entry({}));
    directory.leases.set('task-0', { taskId: 'task-0', address: '', validUntil: now + 9_000 });
    links.coming = link;
    expect(await routes.route(clusterA)).toEqual({ kind: 'link', link });
  });

  test('of one whose task died a moment ago is waited for; long ago, it is absent since the end of the lease', async () => {
    const { links, directory, router: routes } = router();
    directory.tunnels.set(clusterA, entry({}));
    directory.leases.set('task-0', { taskId: 'task-0', address: '', validUntil: now - 10_000 });
    links.coming = link;
    expect(await routes.route(clusterA)).toEqual({ kind: 'link', link });
    directory.leases.set('task-0', { taskId: 'task-0', address: '', validUntil: now - 600_000 });
    expect(await routes.route(clusterA)).toEqual({ kind: 'absent', since: now - 600_000 });
    expect(links.waits).toHaveLength(1);
  });

  test('cannot be told while the directory does not answer: UNAVAILABLE', async () => {
    const { directory, router: routes } = router();
    directory.failing = true;
    await expect(routes.route(clusterA)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('of one that left here a moment ago is waited for although the directory does not answer', async () => {
    const { links, directory, router: routes } = router();
    directory.failing = true;
    links.ended = now - 2_000;
    expect(await routes.route(clusterA)).toEqual({ kind: 'absent', since: now - 2_000 });
    links.coming = link;
    expect(await routes.route(clusterA)).toEqual({ kind: 'link', link });
    expect(links.waits).toEqual([5_000, 5_000]);
    links.ended = now - 600_000;
    await expect(routes.route(clusterA)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('is not looked for by a request that has been given up', async () => {
    const { directory, router: routes } = router();
    directory.failing = true;
    await expect(routes.route(clusterA, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
