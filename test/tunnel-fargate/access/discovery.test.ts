import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { Discovery } from '../../../tunnel-fargate/access/discovery.ts';
import {
  type Access,
  type Cluster,
  clusterId,
  jsonOf,
  startCluster,
  startFixture,
} from './access-fixture.ts';

const at = (path: string) => `/clusters/${clusterId}${path}`;
const v2 = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
const v2beta1 = 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList';

const verbs = ['get', 'list'];
const pod = { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs, shortNames: ['po'] };
const podLog = { name: 'pods/log', singularName: '', namespaced: true, kind: 'Pod', verbs: ['get'] };
const deployment = {
  name: 'deployments',
  singularName: 'deployment',
  namespaced: true,
  kind: 'Deployment',
  verbs,
};
const scale = {
  name: 'deployments/scale',
  singularName: '',
  namespaced: true,
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  verbs,
};
const tier = { name: 'tiers', singularName: 'tier', namespaced: false, kind: 'Tier', verbs };

const groupOf = (name: string, versions: string[], preferred = versions[0]) => ({
  name,
  versions: versions.map((version) => ({ groupVersion: `${name}/${version}`, version })),
  preferredVersion: { groupVersion: `${name}/${preferred}`, version: preferred },
});
const listOf = (groupVersion: string, ...resources: object[]) => ({
  kind: 'APIResourceList',
  groupVersion,
  resources,
});

/** Documents by path; a number is a status. */
let documents: Record<string, unknown>;
let asked: string[];
/** Polls for a condition. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 5_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within 5 s: ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

let busy: { now: number; most: number };
let now: number;
let cluster: Cluster;
let access: Access;

beforeEach(async () => {
  documents = {
    '/api/': { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] },
    '/api/v1': listOf('v1', podLog, pod),
    '/apis/': {
      kind: 'APIGroupList',
      groups: [groupOf('apps', ['v1']), groupOf('projectcalico.org', ['v1', 'v3'], 'v3')],
    },
    '/apis/apps/v1': listOf('apps/v1', deployment, scale),
    '/apis/projectcalico.org/v1': listOf('projectcalico.org/v1'),
    '/apis/projectcalico.org/v3': listOf('projectcalico.org/v3', tier),
  };
  asked = [];
  busy = { now: 0, most: 0 };
  now = 0;
  cluster = await startCluster((stream, headers) => {
    const path = headers[':path'] ?? '';
    asked.push(path);
    busy.now += 1;
    busy.most = Math.max(busy.most, busy.now);
    setImmediate(() => {
      busy.now -= 1;
      const document = documents[path] ?? 404;
      if (typeof document === 'number') stream.respond({ ':status': document }, { endStream: true });
      else {
        stream.respond({ ':status': 200, 'content-type': 'application/json' });
        stream.end(typeof document === 'string' ? document : JSON.stringify(document));
      }
    });
  });
  access = await startFixture(cluster, { now: () => now });
});
afterEach(async () => {
  await access.close();
  await cluster.close();
});

const get = (path: string, accept = `${v2},application/json`, headers = {}) =>
  access.h2(at(path), { token: 'viewer', headers: { accept, ...headers } });

describe('aggregated discovery', () => {
  test('is made from the legacy documents, the preferred version first, subresources inside', async () => {
    const [core, groups] = await Promise.all([get('/api'), get('/apis?timeout=32s')]);
    expect(core.headers['content-type']).toBe(v2);
    expect(jsonOf(core)).toEqual({
      kind: 'APIGroupDiscoveryList',
      apiVersion: 'apidiscovery.k8s.io/v2',
      metadata: {},
      items: [
        {
          metadata: { name: '', creationTimestamp: null },
          versions: [
            {
              version: 'v1',
              freshness: 'Current',
              resources: [
                {
                  resource: 'pods',
                  responseKind: { group: '', version: 'v1', kind: 'Pod' },
                  scope: 'Namespaced',
                  singularResource: 'pod',
                  verbs,
                  shortNames: ['po'],
                  subresources: [
                    {
                      subresource: 'log',
                      responseKind: { group: '', version: 'v1', kind: 'Pod' },
                      verbs: ['get'],
                    },
                  ],
                },
              ],
            },
          ],
        },
      ],
    });
    const items = jsonOf(groups).items as {
      metadata: { name: string };
      versions: Record<string, unknown>[];
    }[];
    expect(
      items.map(({ metadata, versions }) => [metadata.name, versions.map(({ version }) => version)]),
    ).toEqual([
      ['apps', ['v1']],
      ['projectcalico.org', ['v3', 'v1']],
    ]);
    expect(items[0]?.versions[0]).toMatchObject({
      resources: [
        {
          resource: 'deployments',
          subresources: [
            { subresource: 'scale', responseKind: { group: 'autoscaling', version: 'v1', kind: 'Scale' } },
          ],
        },
      ],
    });
    expect(items[1]?.versions[0]).toMatchObject({ resources: [{ resource: 'tiers', scope: 'Cluster' }] });
  });

  test('costs the cluster two requests and one for each group-version, whoever asks at the same time', async () => {
    await Promise.all([get('/api'), get('/apis'), get('/api'), get('/apis'), get('/openapi/v3')]);
    expect(asked.length).toBe(6);
    expect(new Set(asked).size).toBe(6);
  });

  test('costs nothing for 5 s, then two requests, and all of it after 12 hours', async () => {
    await get('/api');
    for (const [time, cost] of [
      [4_999, 0],
      [5_000, 2],
      [299_000, 2],
      [43_200_000, 6],
    ] as const) {
      now = time;
      asked.length = 0;
      await Promise.all([get('/api'), get('/apis')]);
      expect([time, asked.length]).toEqual([time, cost]);
    }
  });

  test('lets a kubectl without a cache of its own get pods for 3 requests into a cluster that was seen in the last 12 hours', async () => {
    const pods = '/api/v1/namespaces/default/pods?limit=500';
    documents[pods] = { kind: 'PodList', apiVersion: 'v1', items: [] };
    // As kubectl 1.29 to 1.33 ask (`get pods -v6` with an empty cache).
    const getPods = async () => {
      asked.length = 0;
      for (const path of ['/api?timeout=32s', '/apis?timeout=32s', pods]) {
        expect((await get(path)).status).toBe(200);
      }
      return asked.length;
    };
    expect(await getPods()).toBe(7);
    now = 299_000;
    expect(await getPods()).toBe(3);
    // Another sees it later: what is renewed behind the answers comes on top, once in 5 minutes at most.
    now = 43_199_000;
    expect(await getPods()).toBeLessThanOrEqual(3 + 4);
    await until(async () => (await get('/apis')).status === 200 && asked.length === 7);
    now += 6_000;
    expect(await getPods()).toBe(3);
  });

  test('of more than 5 minutes ago is answered from memory, and renewed behind the answer', async () => {
    await get('/apis');
    documents['/apis/apps/v1'] = listOf('apps/v1', deployment, { ...deployment, name: 'added' });
    documents['/apis/projectcalico.org/v3'] = 503;
    now = 300_000;
    asked.length = 0;
    expect((await get('/apis')).text).not.toContain('added');
    await until(() => asked.length === 6);
    await until(async () => (await get('/apis')).text.includes('added'));
    // What did not answer stays as it was.
    expect((await get('/apis')).text).toContain('tiers');
    expect(asked.length).toBe(6);
    now = 305_000;
    await get('/apis');
    await until(() => asked.length === 9);
    expect(asked.slice(6).sort()).toEqual(['/api/', '/apis/', '/apis/projectcalico.org/v3']);
  });

  test('finds a new group-version after 5 s for three requests', async () => {
    await get('/apis');
    now = 5_000;
    asked.length = 0;
    documents['/apis/'] = {
      kind: 'APIGroupList',
      groups: [groupOf('apps', ['v1']), groupOf('new.example', ['v1'])],
    };
    documents['/apis/new.example/v1'] = listOf('new.example/v1', tier);
    expect((await get('/apis')).text).toContain('new.example');
    expect(asked.sort()).toEqual(['/api/', '/apis/', '/apis/new.example/v1']);
  });

  test('is looked up anew while kinds are being added through us', async () => {
    await get('/apis');
    await access.h2(at('/apis/apiextensions.k8s.io/v1/customresourcedefinitions'), {
      method: 'POST',
      body: '{}',
    });
    for (const time of [1, 29_000]) {
      now = time;
      asked.length = 0;
      await get('/apis');
      expect(asked.length).toBe(6);
    }
    now = 31_000;
    await get('/apis');
    asked.length = 0;
    await get('/apis');
    expect(asked).toEqual([]);
  });

  test('is passed on where the cluster has it: one request for a root', async () => {
    const aggregated = {
      kind: 'APIGroupDiscoveryList',
      apiVersion: 'apidiscovery.k8s.io/v2',
      items: [
        { metadata: { name: 'apps' }, versions: [{ version: 'v1', resources: [], freshness: 'Current' }] },
      ],
    };
    documents['/apis/'] = aggregated;
    expect(jsonOf(await get('/apis'))).toMatchObject({ items: [{ metadata: { name: 'apps' } }] });
    expect(asked.sort()).toEqual(['/api/', '/api/v1', '/apis/']);
  });

  test('marks a group-version that does not answer as stale, and asks for it again', async () => {
    const before = documents['/apis/apps/v1'];
    documents['/apis/apps/v1'] = 503;
    expect(JSON.parse((await get('/apis')).text)).toMatchObject({
      items: [{ versions: [{ version: 'v1', resources: [], freshness: 'Stale' }] }, {}],
    });
    now = 5_000;
    documents['/apis/apps/v1'] = before;
    expect(JSON.parse((await get('/apis')).text)).toMatchObject({
      items: [{ versions: [{ freshness: 'Current' }] }, {}],
    });
  });

  test.each([
    ['another status', 500],
    ['no JSON', '<html>'],
    ['another document', { kind: 'APIGroupList' }],
    ['a document without end', `{"kind":"APIVersions","versions":["${'x'.repeat(5_000_000)}"]}`],
  ])('is 502 BAD_GATEWAY when a root answers with %s', async (_, document) => {
    documents['/api/'] = document;
    const answer = await get('/apis');
    expect(jsonOf(answer)).toMatchObject({ code: 502, details: { causes: [{ reason: 'BAD_GATEWAY' }, {}] } });
  });

  test('is given as v2beta1 to older clients, and not at all to those that do not ask', async () => {
    const answer = await get('/api', `${v2beta1},application/json`);
    expect(answer.headers['content-type']).toBe(v2beta1);
    expect(jsonOf(answer).apiVersion).toBe('apidiscovery.k8s.io/v2beta1');
    for (const accept of [
      'application/json',
      '*/*',
      `application/json,${v2}`,
      'application/json;g=other;v=v2;as=APIGroupDiscoveryList',
    ]) {
      expect(jsonOf(await get('/api', accept)).kind).toBe('APIVersions');
    }
  });

  test('is 304 to a client that has it already', async () => {
    const first = await get('/apis');
    const again = await get('/apis', undefined, { 'if-none-match': String(first.headers.etag) });
    expect([again.status, again.text]).toEqual([304, '']);
    expect((await get('/apis', undefined, { 'if-none-match': '"other"' })).status).toBe(200);
  });

  test('asks a cluster for at most six documents at a time', async () => {
    const names = Array.from({ length: 40 }, (_, at) => `g${at}.example`);
    documents['/apis/'] = { kind: 'APIGroupList', groups: names.map((name) => groupOf(name, ['v1'])) };
    for (const name of names) documents[`/apis/${name}/v1`] = listOf(`${name}/v1`, tier);
    await get('/apis');
    expect(asked.length).toBe(43);
    expect(busy.most).toBeLessThanOrEqual(6);
  });
});

describe('/openapi/v3', () => {
  test('has an index whose documents are there, each with a PATCH that validates fields', async () => {
    const index = jsonOf(await get('/openapi/v3')).paths as Record<string, { serverRelativeURL: string }>;
    expect(Object.keys(index).sort()).toEqual([
      'api/v1',
      'apis/apps/v1',
      'apis/projectcalico.org/v1',
      'apis/projectcalico.org/v3',
    ]);
    for (const { serverRelativeURL } of Object.values(index)) {
      expect((await get(serverRelativeURL)).status).toBe(200);
    }
    const { paths } = jsonOf(await get(index['apis/apps/v1']?.serverRelativeURL ?? '')) as {
      paths: Record<string, { patch: Record<string, unknown> }>;
    };
    expect(paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.patch).toMatchObject({
      'x-kubernetes-group-version-kind': { group: 'apps', version: 'v1', kind: 'Deployment' },
      parameters: [{ name: 'fieldValidation', in: 'query' }],
    });
  });

  test('is 404 for what the cluster does not serve', async () => {
    expect((await get('/openapi/v3/apis/nothing/v1')).status).toBe(404);
    expect((await get('/openapi/v4')).status).toBe(404);
  });
});

describe('what is remembered of clusters', () => {
  test('is bounded: the least recently used goes', async () => {
    const others = await Promise.all(
      ['a', 'b', 'c'].map(async (letter) => {
        const id = `c-${letter.repeat(20)}`;
        return startCluster((stream, headers) => {
          asked.push(`${letter} ${headers[':path'] ?? ''}`);
          stream.respond({ ':status': 200 });
          stream.end(JSON.stringify(documents[headers[':path'] ?? '']));
        }, id);
      }),
    );
    const size = [
      '/api/',
      '/api/v1',
      '/apis/',
      '/apis/apps/v1',
      '/apis/projectcalico.org/v1',
      '/apis/projectcalico.org/v3',
    ]
      .map((path) => JSON.stringify(documents[path]).length)
      .reduce((sum, bytes) => sum + bytes, 0);
    const discovery = new Discovery({ now: () => 0, maxBytes: size * 2 });
    const [a, b, c] = others;
    if (!a || !b || !c) throw new Error('three clusters');
    await discovery.of(a.link);
    await discovery.of(b.link);
    await discovery.of(a.link);
    await discovery.of(c.link);
    asked.length = 0;
    await discovery.of(a.link);
    await discovery.of(c.link);
    expect(asked).toEqual([]);
    await discovery.of(b.link);
    expect(asked.length).toBe(6);
    await Promise.all(others.map((other) => other.close()));
  });

  test('is bounded for each cluster: past the limit group-versions are Stale, and not asked', async () => {
    const name = (at: number) => `g${String(at).padStart(2, '0')}.example.com`;
    const names = Array.from({ length: 40 }, (_, at) => name(at));
    documents['/apis/'] = { kind: 'APIGroupList', groups: names.map((each) => groupOf(each, ['v1'])) };
    for (const each of names) {
      documents[`/apis/${each}/v1`] = listOf(`${each}/v1`, { ...tier, ignored: 'x'.repeat(20_000) });
    }
    const discovery = new Discovery({ now: () => 0, maxClusterBytes: 100_000 });
    const { groups } = await discovery.of(cluster.link);
    const freshness = groups.map(({ versions }) => versions[0]?.freshness);
    expect(groups).toHaveLength(40);
    // Five documents fill it; those under way at that time (six at once) still come.
    const current = freshness.filter((each) => each === 'Current').length;
    expect(current).toBeGreaterThanOrEqual(4);
    expect(current).toBeLessThanOrEqual(11);
    expect(freshness.filter((each) => each === 'Stale')).toHaveLength(40 - current);
    expect(asked.filter((path) => path.includes('example.com'))).toHaveLength(current);
  });

  test('is nothing when the cluster could not be asked', async () => {
    const discovery = new Discovery({ now: () => 0 });
    const failing = { ...cluster.link, request: () => Promise.reject(new Problem('CLUSTER_NOT_CONNECTED')) };
    await expect(discovery.of(failing)).rejects.toMatchObject({ code: 'CLUSTER_NOT_CONNECTED' });
    await expect(discovery.of(cluster.link)).resolves.toMatchObject({ core: [{}] });
  });

  test('is 504 TIMEOUT when a root does not answer in time', async () => {
    const silent = await startCluster(() => undefined);
    const discovery = new Discovery({ now: () => 0, timeoutMs: 30 });
    await expect(discovery.of(silent.link)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await silent.close();
  });
});
