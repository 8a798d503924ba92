import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Life, startLife } from '../../../local/demo-cluster/demo-life.ts';
import { PodLogs } from '../../../local/demo-cluster/kube-api-log.ts';
import { resourceOf } from '../../../local/demo-cluster/kube-api-resource.ts';
import { KubeStore } from '../../../local/demo-cluster/kube-api-store.ts';
import { listAt, numberAt, objectAt, stringsAt, textAt } from '../../../local/demo-cluster/kube-json.ts';

const deployments = resourceOf('apps', 'deployments');
const replicaSets = resourceOf('apps', 'replicasets');
const pods = resourceOf('', 'pods');

describe('a deployment of the demo', () => {
  let store: KubeStore;
  let life: Life;
  beforeEach(() => {
    store = new KubeStore();
    life = startLife({ store, logs: new PodLogs(), intervalMs: 3_600_000 });
  });
  afterEach(() => life.stop());

  const templateOf = (image: string, more = {}) => ({
    metadata: { labels: { app: 'web' }, ...more },
    spec: { containers: [{ name: 'a', image }] },
  });
  const write = (replicas: number, template: ReturnType<typeof templateOf>) => {
    const object = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'shop' },
      spec: { replicas, selector: { matchLabels: { app: 'web' } }, template },
    };
    if (store.has(deployments, 'shop', 'web')) store.update(deployments, object);
    else store.create(deployments, object);
  };
  const sets = () =>
    store
      .list(replicaSets)
      .map((set) => [
        stringsAt(set, 'metadata', 'annotations')['deployment.kubernetes.io/revision'],
        textAt(set, 'spec', 'template', 'spec', 'containers', 0, 'image'),
        numberAt(set, 'spec', 'replicas'),
      ])
      .sort();
  const images = () => store.list(pods).map((pod) => textAt(pod, 'spec', 'containers', 0, 'image'));

  test('gets the pods it asks for, more and fewer, and says that it is available', () => {
    for (const replicas of [2, 3, 1, 0]) {
      write(replicas, templateOf('one'));
      life.tick();
      expect(images()).toEqual(Array<string>(replicas).fill('one'));
    }
    const status = objectAt(store.get(deployments, 'shop', 'web'), 'status');
    expect(
      listAt(status, 'conditions').map((entry) => [textAt(entry, 'type'), textAt(entry, 'status')]),
    ).toEqual([
      ['Available', 'True'],
      ['Progressing', 'True'],
    ]);
    expect(sets()).toEqual([['1', 'one', 0]]);
  });

  test('with another template gets another ReplicaSet and other pods; the old one stays with none', () => {
    write(2, templateOf('one'));
    life.tick();
    write(2, templateOf('two'));
    life.tick();
    expect(images()).toEqual(['two', 'two']);
    expect(sets()).toEqual([
      ['1', 'one', 0],
      ['2', 'two', 2],
    ]);
  });

  test('that goes back to an earlier template goes back to its ReplicaSet, as the newest revision', () => {
    for (const image of ['one', 'two']) {
      write(1, templateOf(image));
      life.tick();
    }
    // As clients in Go write it: members without a value are there.
    write(1, templateOf('one', { creationTimestamp: null }));
    life.tick();
    life.tick();
    expect(sets()).toEqual([
      ['2', 'two', 0],
      ['3', 'one', 1],
    ]);
    expect(images()).toEqual(['one']);
  });

  test('that was changed does not wait for the next tick', async () => {
    write(1, templateOf('one'));
    const end = Date.now() + 5_000;
    while (store.list(pods).length === 0 && Date.now() < end) await delay(5);
    expect(images()).toEqual(['one']);
  });
});
