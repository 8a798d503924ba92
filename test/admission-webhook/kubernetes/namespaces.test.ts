import { describe, expect, test } from '@jest/globals';
import { Namespaces } from '../../../admission-webhook/kubernetes/namespaces.ts';
import { KubeApiError } from '../../../admission-webhook/kubernetes/kube-api.ts';
import { eventually } from '../../stack/poll.ts';

const named = (name: string, labels: Record<string, string> | undefined, resourceVersion = '5') => ({
  metadata: { name, resourceVersion, ...(labels ? { labels } : {}) },
});

/** A list and a watch that a test writes into; single namespaces are read from `live`. */
function cluster() {
  const events: object[] = [];
  let wake: () => void = () => undefined;
  const state = {
    now: 1_000_000,
    list: [named('shop', { team: 'a' })],
    live: new Map<string, object>(),
    reads: [] as string[],
    watches: [] as string[],
    isAway: false,
    end: false,
    warnings: 0,
  };
  const say = (event: object) => {
    events.push(event);
    wake();
  };
  const stop = new AbortController();
  stop.signal.addEventListener('abort', () => wake());
  const namespaces = new Namespaces({
    kube: {
      read: (path) => {
        state.reads.push(path);
        if (state.isAway) return Promise.reject(new KubeApiError(0, 'away'));
        if (path.includes('?')) {
          return Promise.resolve({ metadata: { resourceVersion: '5' }, items: state.list });
        }
        return Promise.resolve(state.live.get(path.split('/').at(-1) ?? ''));
      },
      watch: async function* (path, { signal }) {
        state.watches.push(path);
        while (!signal.aborted) {
          const event = events.shift();
          if (event) yield event;
          else if (state.end) {
            state.end = false;
            return;
          } else await new Promise<void>((resolve) => (wake = resolve));
        }
      },
    },
    logger: { warn: () => (state.warnings += 1) },
    now: () => state.now,
    random: () => 0,
  });
  const watching = namespaces.watch(stop.signal);
  const close = async () => {
    stop.abort();
    await watching;
  };
  const endWatch = () => {
    state.end = true;
    wake();
  };
  return { state, namespaces, say, close, endWatch };
}

describe('the labels of namespaces', () => {
  test('come from the list, follow the watch, and cost no question of their own', async () => {
    const { state, namespaces, say, close } = cluster();
    await eventually('listed', 2_000, () => state.watches.length === 1);
    expect(await namespaces.labels('shop', 1_000)).toEqual({ team: 'a' });
    say({ type: 'MODIFIED', object: named('shop', { team: 'b' }, '6') });
    say({ type: 'ADDED', object: named('bare', undefined, '7') });
    await eventually('followed', 2_000, async () => (await namespaces.labels('bare', 1_000)) !== undefined);
    expect(await namespaces.labels('shop', 1_000)).toEqual({ team: 'b' });
    expect(await namespaces.labels('bare', 1_000)).toEqual({});
    expect(state.reads.filter((path) => path.endsWith('/shop'))).toEqual([]);
    await close();
  });

  test('of a namespace that the watch has not told of yet are asked for, once for all who wait', async () => {
    const { state, namespaces, close } = cluster();
    await eventually('listed', 2_000, () => state.watches.length === 1);
    state.live.set('young', named('young', { team: 'c' }));
    const asked = await Promise.all([1, 2, 3].map(() => namespaces.labels('young', 1_000)));
    expect(asked).toEqual([{ team: 'c' }, { team: 'c' }, { team: 'c' }]);
    expect(state.reads.filter((path) => path.endsWith('/young'))).toHaveLength(1);
    expect(await namespaces.labels('nobody', 1_000)).toBeUndefined();
    await close();
  });

  test('that were seen too long ago are asked for anew, and unknown when nobody answers', async () => {
    const { state, namespaces, close } = cluster();
    await eventually('listed', 2_000, () => state.watches.length === 1);
    state.now += 180_000;
    state.live.set('shop', named('shop', { team: 'now' }));
    expect(await namespaces.labels('shop', 1_000)).toEqual({ team: 'now' });
    state.isAway = true;
    expect(await namespaces.labels('shop', 1_000)).toBeUndefined();
    await close();
  });

  test('are fresh again by a bookmark', async () => {
    const { state, namespaces, say, close } = cluster();
    await eventually('listed', 2_000, () => state.watches.length === 1);
    state.now += 180_000;
    state.isAway = true;
    say({ type: 'BOOKMARK', object: { kind: 'Namespace', metadata: { resourceVersion: '9' } } });
    await eventually('fresh', 2_000, async () => (await namespaces.labels('shop', 1_000)) !== undefined);
    await close();
  });

  test('of a deleted namespace are gone', async () => {
    const { state, namespaces, say, close } = cluster();
    await eventually('listed', 2_000, () => state.watches.length === 1);
    say({ type: 'DELETED', object: named('shop', { team: 'a' }, '8') });
    await eventually('gone', 2_000, async () => (await namespaces.labels('shop', 1_000)) === undefined);
    await close();
  });

  test('go on from where a watch has ended, and are listed anew after an error such as 410 Gone', async () => {
    const { state, namespaces, say, close, endWatch } = cluster();
    await eventually('listed', 2_000, () => state.watches.length === 1);
    say({ type: 'ADDED', object: named('more', {}, '12') });
    await eventually('followed', 2_000, async () => (await namespaces.labels('more', 1_000)) !== undefined);
    endWatch();
    await eventually('watched again', 2_000, () => state.watches.length === 2);
    expect(state.watches.map((path) => /resourceVersion=(\d+)/.exec(path)?.[1])).toEqual(['5', '12']);
    state.list = [named('other', { team: 'z' })];
    say({ type: 'ERROR', object: { kind: 'Status', code: 410 } });
    await eventually('listed anew', 5_000, () => state.watches.length === 3);
    expect(await namespaces.labels('other', 1_000)).toEqual({ team: 'z' });
    expect(await namespaces.labels('shop', 1_000)).toBeUndefined();
    expect(state.warnings).toBeGreaterThan(0);
    await close();
  });

  test('are given up when the answer takes longer than the review can wait', async () => {
    const namespaces = new Namespaces({
      kube: {
        read: () => new Promise(() => undefined),
        watch: () => [] as unknown as AsyncIterable<unknown>,
      },
      logger: { warn: () => undefined },
      now: () => 0,
      random: () => 0,
    });
    expect(await namespaces.labels('slow', 20)).toBeUndefined();
  });

  test('are not asked for under a name that none can have', async () => {
    const { state, namespaces, close } = cluster();
    for (const name of ['', '../secrets', 'a/b', 'A', 'x'.repeat(64)])
      expect(await namespaces.labels(name, 1_000)).toBeUndefined();
    expect(state.reads.filter((path) => !path.includes('?'))).toEqual([]);
    await close();
  });
});
