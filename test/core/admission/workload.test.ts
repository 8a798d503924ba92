import { describe, expect, test } from '@jest/globals';
import { readReview } from '../../../core/admission/admission-review.ts';
import { aliasesOf, shownImage, type Workload, workloadOf } from '../../../core/admission/workload.ts';
import { reviewOf } from './review.ts';

type Asked = Parameters<typeof reviewOf>[0];

function asked(review: Asked) {
  const read = readReview(reviewOf(review));
  if ('problem' in read) throw read.problem;
  return workloadOf(read.request);
}
function workload(review: Asked): Workload {
  const found = asked(review);
  if (!found || 'fault' in found) throw new Error('no workload');
  return found;
}
const images = (review: Asked): string[] => workload(review).images.map(shownImage);

const pod = { containers: [{ name: 'web', image: 'nginx:1' }] };
const template = { metadata: { labels: { in: 'template' } }, spec: pod };
const nginx = ['docker.io/library/nginx:1'];

describe('The pod template is found in', () => {
  test.each<[kind: string, group: string, object: Record<string, unknown>]>([
    ['Pod', '', { spec: pod }],
    ['PodTemplate', '', { template }],
    ['ReplicationController', '', { spec: { template } }],
    ['Deployment', 'apps', { spec: { template } }],
    ['ReplicaSet', 'apps', { spec: { template } }],
    ['StatefulSet', 'apps', { spec: { template } }],
    ['DaemonSet', 'apps', { spec: { template } }],
    ['Deployment', 'extensions', { spec: { template } }],
    ['Job', 'batch', { spec: { template } }],
    ['CronJob', 'batch', { spec: { jobTemplate: { spec: { template } } } }],
  ])('%s of %j', (kind, group, object) => {
    expect(images({ kind, group, object })).toEqual(nginx);
    expect(images({ kind, group, object, operation: 'UPDATE' })).toEqual(nginx);
  });
});

describe('Nothing is judged of', () => {
  test.each<[what: string, review: Asked]>([
    ['a kind without pods', { kind: 'ConfigMap', object: { data: {} } }],
    [
      'a kind of the same name in another group',
      { kind: 'Deployment', group: 'example.com', object: { spec: { template } } },
    ],
    ['a deletion', { kind: 'Pod', operation: 'DELETE', object: null, oldObject: { spec: pod } }],
    ['a connection', { kind: 'PodExecOptions', operation: 'CONNECT', subResource: 'exec', object: {} }],
    ['a status', { kind: 'Pod', operation: 'UPDATE', subResource: 'status', object: { spec: pod } }],
    [
      'a scale',
      { kind: 'Scale', group: 'autoscaling', operation: 'UPDATE', subResource: 'scale', object: {} },
    ],
    ['a binding', { kind: 'Binding', operation: 'CREATE', subResource: 'binding', object: {} }],
  ])('%s', (_what, review) => {
    expect(asked(review)).toBeUndefined();
  });

  test('a replication controller without a template has no images', () => {
    expect(images({ kind: 'ReplicationController', object: { spec: { template: null } } })).toEqual([]);
  });
});

describe('The images of a workload', () => {
  test('are those of init, main and ephemeral containers, each once, with all who run them', () => {
    const digest = `sha256:${'b'.repeat(64)}`;
    const found = workload({
      kind: 'Pod',
      object: {
        metadata: { generateName: 'web-', labels: { app: 'web' } },
        spec: {
          initContainers: [{ name: 'init', image: 'busybox' }],
          containers: [
            { name: 'a', image: 'docker.io/library/busybox:latest' },
            { name: 'b', image: `nginx:1@${digest}` },
            { name: 'c', image: `nginx:2@${digest}` },
            { name: 'd', image: `quay.io/nginx@${digest}` },
          ],
          ephemeralContainers: [{ name: 'debug', image: 'busybox:1' }],
        },
      },
    });

    expect(found.images.map((image) => [shownImage(image), image.containers])).toEqual([
      ['docker.io/library/busybox:latest', ['init', 'a']],
      [`docker.io/library/nginx@${digest}`, ['b', 'c']],
      [`quay.io/nginx@${digest}`, ['d']],
      ['docker.io/library/busybox:1', ['debug']],
    ]);
    expect(aliasesOf(found)).toEqual([
      'docker.io/library/busybox:latest',
      digest,
      'docker.io/library/busybox:1',
    ]);
    expect(found).toMatchObject({ kind: 'Pod', name: 'web-', namespace: 'shop' });
    expect([...found.labels]).toEqual([['app', 'web']]);
  });

  test('that cannot be read stay in, with the reason', () => {
    const found = workload({
      kind: 'Pod',
      object: {
        spec: { containers: [{ name: 'a', image: 'Nginx' }, { name: 'b' }, { name: 'c', image: null }] },
      },
    });

    expect(found.images).toMatchObject([
      { text: 'Nginx', containers: ['a'], fault: expect.stringContaining('upper-case') },
      { text: '', containers: ['b', 'c'], fault: 'no image is named' },
    ]);
    expect(aliasesOf(found)).toEqual([]);
  });

  test('on an update are told apart from those that the object had', () => {
    const found = workload({
      kind: 'Pod',
      operation: 'UPDATE',
      subResource: 'ephemeralcontainers',
      oldObject: { spec: pod },
      object: { spec: { ...pod, ephemeralContainers: [{ name: 'debug', image: 'evil' }] } },
    });

    expect(found.images).toMatchObject([
      { text: 'nginx:1', isUnchanged: true },
      { text: 'evil', isUnchanged: false },
    ]);
  });

  test('on a creation are all new, whatever is sent as the old object', () => {
    expect(workload({ kind: 'Pod', object: { spec: pod }, oldObject: { spec: pod } }).images).toMatchObject([
      { isUnchanged: false },
    ]);
  });

  test('of two names for one image, the old one written short, are unchanged', () => {
    const found = workload({
      kind: 'Pod',
      operation: 'UPDATE',
      oldObject: { spec: pod },
      object: { spec: { containers: [{ name: 'web', image: 'index.docker.io/library/nginx:1' }] } },
    });

    expect(found.images).toMatchObject([{ isUnchanged: true }]);
  });
});

describe('An object of a kind with pods that cannot be read is a fault, not an object without images', () => {
  test.each<[what: string, object: Record<string, unknown> | null]>([
    ['no object', null],
    ['a spec that is a text', { spec: 'x' }],
    ['containers that are no list', { spec: { containers: { name: 'a' } } }],
    ['an image that is a number', { spec: { containers: [{ name: 'a', image: 7 }] } }],
    ['labels that are no texts', { metadata: { labels: { a: 1 } }, spec: pod }],
  ])('%s', (_what, object) => {
    expect(asked({ kind: 'Pod', object })).toEqual({ fault: 'The Pod of the review cannot be read.' });
  });

  test('an old object that cannot be read makes every image new', () => {
    const found = workload({
      kind: 'Pod',
      operation: 'UPDATE',
      oldObject: { spec: { containers: 7 } },
      object: { spec: pod },
    });

    expect(found.images).toMatchObject([{ isUnchanged: false }]);
  });
});

test('Names that are longer together than those of any pod are a fault, which is refused', () => {
  const object = (count: number, length: number) => ({
    spec: {
      containers: Array.from({ length: count }, (_, index) => ({
        name: `c${index}`,
        image: `r.io/${String(index).padStart(length - 5, '0')}:v1`,
      })),
    },
  });

  expect(workload({ kind: 'Pod', object: object(100, 100) }).images).toHaveLength(100);
  expect(asked({ kind: 'Pod', object: object(99, 102) })).toEqual({
    fault: 'The images of the Pod of the review have more than 10000 characters together.',
  });
});

test('More images than any pod has are a fault, which is refused: not one of them is looked up', () => {
  const containers = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ name: `c${index}`, image: `app:${index}` }));
  const object = (count: number) => ({ spec: { containers: containers(count) } });

  expect(workload({ kind: 'Pod', object: object(200) }).images).toHaveLength(200);
  expect(asked({ kind: 'Pod', object: object(201) })).toEqual({
    fault: 'The Pod of the review names more than 200 different images.',
  });
});
