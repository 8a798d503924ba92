import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { counterAnnotation, startLife } from '../../../local/demo-cluster/demo-life.ts';
import { addDemoObjects } from '../../../local/demo-cluster/demo-objects.ts';
import type { KubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { startKubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { KubeStore } from '../../../local/demo-cluster/kube-api-store.ts';
import type { Json } from '../../../local/demo-cluster/kube-json.ts';
import { at, listAt, textAt } from '../../../local/demo-cluster/kube-json.ts';
import { call, stream, tableAccept } from './kube-client.ts';

const maps = '/api/v1/namespaces/shop/configmaps';
const brief = (event: Json) => [textAt(event, 'type'), textAt(event, 'object', 'metadata', 'name')];
const merge = { 'content-type': 'application/merge-patch+json' };

describe('watching the demo API', () => {
  let api: KubeApi;
  beforeEach(async () => {
    api = await startKubeApi({ store: new KubeStore({ historyLimit: 5 }), bookmarkIntervalMs: 20 });
    addDemoObjects(api.store, new Date());
  });
  afterEach(() => api.close());

  const create = (name: string, labels: Record<string, string> = {}) =>
    call(api, maps, { method: 'POST', body: { metadata: { name, labels }, data: {} } });

  test('emits ADDED, MODIFIED and DELETED after the version of a list', async () => {
    const version = textAt((await call(api, maps)).json, 'metadata', 'resourceVersion');
    const watch = await stream(api, `${maps}?watch=true&resourceVersion=${version}`);
    await create('a');
    await call(api, `${maps}/a`, { method: 'PATCH', headers: merge, body: { data: { x: '1' } } });
    await call(api, `${maps}/a`, { method: 'DELETE' });
    expect([await watch.nextJson(), await watch.nextJson(), await watch.nextJson()].map(brief)).toEqual([
      ['ADDED', 'a'],
      ['MODIFIED', 'a'],
      ['DELETED', 'a'],
    ]);
    watch.close();
  });

  test('replays what happened since a version that is still remembered', async () => {
    const version = textAt((await call(api, maps)).json, 'metadata', 'resourceVersion');
    await create('a');
    await create('b');
    const watch = await stream(api, `${maps}?watch=1&resourceVersion=${version}`);
    expect([await watch.nextJson(), await watch.nextJson()].map(brief)).toEqual([
      ['ADDED', 'a'],
      ['ADDED', 'b'],
    ]);
    watch.close();
  });

  test('tells a version that is forgotten by an ERROR event with 410 Expired, and ends', async () => {
    const version = textAt((await call(api, maps)).json, 'metadata', 'resourceVersion');
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await create(name);
    const watch = await stream(api, `${maps}?watch=true&resourceVersion=${version}`);
    expect(watch.status).toBe(200);
    expect(await watch.nextJson()).toMatchObject({
      type: 'ERROR',
      object: { kind: 'Status', code: 410, reason: 'Expired' },
    });
    expect(await watch.next()).toBeUndefined();
  });

  test('begins with everything where no version is given, then a bookmark that says so if asked', async () => {
    await create('a');
    const query =
      'watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan';
    const watch = await stream(api, `${maps}?${query}`);
    expect(brief(await watch.nextJson())).toEqual(['ADDED', 'a']);
    const mark = await watch.nextJson();
    expect(textAt(mark, 'type')).toBe('BOOKMARK');
    expect(at(mark, 'object', 'metadata', 'annotations')).toEqual({ 'k8s.io/initial-events-end': 'true' });
    watch.close();
  });

  test('sends bookmarks with the current version to who allows them, and none otherwise', async () => {
    const watch = await stream(api, `${maps}?watch=true&allowWatchBookmarks=true`);
    const mark = await watch.nextJson();
    expect([textAt(mark, 'type'), textAt(mark, 'object', 'metadata', 'resourceVersion')]).toEqual([
      'BOOKMARK',
      String(api.store.version),
    ]);
    watch.close();
  });

  test('tells an object that leaves a selector as DELETED and one that enters it as ADDED', async () => {
    await create('a', { team: 'cats' });
    const watch = await stream(api, `${maps}?watch=true&labelSelector=team%3Dcats`);
    expect(brief(await watch.nextJson())).toEqual(['ADDED', 'a']);
    await call(api, `${maps}/a`, {
      method: 'PATCH',
      headers: merge,
      body: { metadata: { labels: { team: 'dogs' } } },
    });
    expect(brief(await watch.nextJson())).toEqual(['DELETED', 'a']);
    await create('other');
    await call(api, `${maps}/a`, {
      method: 'PATCH',
      headers: merge,
      body: { metadata: { labels: { team: 'cats' } } },
    });
    expect(brief(await watch.nextJson())).toEqual(['ADDED', 'a']);
    watch.close();
  });

  test('watches one object by name only', async () => {
    const watch = await stream(api, `${maps}?watch=true&fieldSelector=metadata.name%3Db`);
    await create('a');
    await create('b');
    expect(brief(await watch.nextJson())).toEqual(['ADDED', 'b']);
    watch.close();
  });

  test('sends Table rows, the columns with the first only', async () => {
    const watch = await stream(api, `${maps}?watch=true`, { headers: { accept: tableAccept } });
    await create('a');
    await create('b');
    const [first, second] = [await watch.nextJson(), await watch.nextJson()];
    expect(listAt(first, 'object', 'columnDefinitions').map((column) => textAt(column, 'name'))).toEqual([
      'Name',
      'Data',
      'Age',
    ]);
    expect(listAt(first, 'object', 'rows', 0, 'cells').slice(0, 2)).toEqual(['a', 0]);
    expect(listAt(second, 'object', 'columnDefinitions')).toEqual([]);
    expect(textAt(second, 'object', 'rows', 0, 'object', 'metadata', 'name')).toBe('b');
    watch.close();
  });

  test('ends after timeoutSeconds and shows its status line before the first event', async () => {
    const watch = await stream(api, `${maps}?watch=true&timeoutSeconds=1`);
    expect(watch.status).toBe(200);
    expect(await watch.next()).toBeUndefined();
  });

  test('lets every tick of the demo reach a watch of pods, and a restart show', async () => {
    const life = startLife({ store: api.store, logs: api.logs, intervalMs: 1_000_000 });
    const version = textAt((await call(api, '/api/v1/pods')).json, 'metadata', 'resourceVersion');
    const watch = await stream(api, `/api/v1/namespaces/shop/pods?watch=true&resourceVersion=${version}`);
    for (const count of ['1', '2', '3']) {
      life.tick();
      const event = await watch.nextJson();
      expect(textAt(event, 'type')).toBe('MODIFIED');
      expect(textAt(event, 'object', 'metadata', 'annotations', counterAnnotation)).toBe(count);
      if (count === '3')
        expect(at(event, 'object', 'status', 'containerStatuses', 0, 'restartCount')).toBe(1);
    }
    expect(listAt((await call(api, '/api/v1/namespaces/shop/events')).json, 'items')).toHaveLength(3);
    watch.close();
    life.stop();
  });

  test('follows a log until the pod is gone', async () => {
    const life = startLife({ store: api.store, logs: api.logs, intervalMs: 1_000_000 });
    const pod = textAt(
      (await call(api, '/api/v1/namespaces/shop/pods')).json,
      'items',
      0,
      'metadata',
      'name',
    );
    const log = await stream(api, `/api/v1/namespaces/shop/pods/${pod}/log?follow=true`);
    life.tick();
    expect(await log.next()).toContain('tick 1');
    await call(api, `/api/v1/namespaces/shop/pods/${pod}`, { method: 'DELETE' });
    expect(await log.next()).toBeUndefined();
    life.stop();
  });

  test('gives a scaled deployment its pods on the next tick, and replaces one that is deleted', async () => {
    const life = startLife({ store: api.store, logs: api.logs, intervalMs: 1_000_000 });
    const pods = async () =>
      listAt(
        (await call(api, '/api/v1/namespaces/shop/pods?labelSelector=app.kubernetes.io/name%3Dcart')).json,
        'items',
      );
    const path = '/apis/apps/v1/namespaces/shop/deployments/cart';
    await call(api, `${path}/scale`, { method: 'PATCH', headers: merge, body: { spec: { replicas: 3 } } });
    life.tick();
    expect(await pods()).toHaveLength(3);
    await call(api, `/api/v1/namespaces/shop/pods/${textAt(await pods(), 0, 'metadata', 'name')}`, {
      method: 'DELETE',
    });
    life.tick();
    expect(await pods()).toHaveLength(3);
    expect(at((await call(api, path)).json, 'status', 'readyReplicas')).toBe(3);
    life.stop();
  });

  test('keeps a bounded number of events', async () => {
    const life = startLife({ store: api.store, logs: api.logs, intervalMs: 1_000_000, eventLimit: 4 });
    for (let count = 0; count < 10; count++) life.tick();
    expect(listAt((await call(api, '/api/v1/events')).json, 'items')).toHaveLength(4);
    life.stop();
  });
});
