import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ServerHttp2Stream } from 'node:http2';
import { GuardianRights } from '../../../tunnel-fargate/access/guardian-rights.ts';
import { type Method, requestAttributes } from '../../../tunnel-fargate/access/request-attributes.ts';
import {
  type Access,
  type Cluster,
  clusterId,
  echo,
  jsonOf,
  recordOf,
  startCluster,
  startFixture,
} from './access-fixture.ts';

const pods = '/api/v1/namespaces/shop/pods';
const at = (path: string) => `/clusters/${clusterId}${path}`;

describe('a request that changes something, in a cluster that has not granted Guardian that', () => {
  let cluster: Cluster;
  let access: Access;
  let now: number;
  beforeEach(async () => {
    now = 0;
    cluster = await startCluster(echo);
    cluster.grants = () => false;
    access = await startFixture(cluster, { now: () => now });
  });
  afterEach(async () => {
    await access.close();
    await cluster.close();
  });
  const send = (method: string, path: string, more = {}) => access.h2(at(path), { method, ...more });

  test.each([
    ['POST', pods],
    ['PUT', `${pods}/p`],
    ['PATCH', `${pods}/p`],
    ['DELETE', `${pods}/p`],
    ['DELETE', pods],
    ['GET', `${pods}/p/exec?command=ls`],
    ['POST', `${pods}/p/eviction`],
    ['POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
  ])('%s %s is 403 CLUSTER_GRANTS_NO_SUCH_RIGHT and never gets there', async (method, path) => {
    const answer = await send(method, path);
    expect([answer.status, jsonOf(answer).code]).toEqual([403, 'CLUSTER_GRANTS_NO_SUCH_RIGHT']);
    expect(cluster.seen).toEqual([]);
  });

  test('is told the remedy, in kubectl’s own form too', async () => {
    const answer = await send('DELETE', `${pods}/p`, { headers: { 'user-agent': 'kubectl/v1.33.1' } });
    expect(jsonOf(answer)).toMatchObject({
      kind: 'Status',
      reason: 'Forbidden',
      code: 403,
      message: expect.stringContaining(
        `has not granted its Guardian the right to delete pods in shop. Whoever administers it grants that with the manifest of GET /v1/clusters/${clusterId}/manifest?access=edit`,
      ),
    });
  });

  test('asks the cluster once for each verb, resource and namespace, and again for the single object', async () => {
    for (const name of ['a', 'b']) await send('DELETE', `${pods}/${name}`);
    const asked = {
      verb: 'delete',
      group: '',
      version: 'v1',
      resource: 'pods',
      subresource: '',
      namespace: 'shop',
    };
    expect(cluster.asked.map(({ resourceAttributes }) => resourceAttributes)).toEqual(
      ['', 'a', 'b'].map((name) => ({ ...asked, name })),
    );
  });

  test('passes where the right is granted for that object only', async () => {
    cluster.grants = ({ resourceAttributes }) => resourceAttributes?.name === 'a';
    expect((await send('DELETE', `${pods}/a`)).status).toBe(200);
    expect((await send('DELETE', `${pods}/b`)).status).toBe(403);
  });

  test('asks for exec as the API server will: create by POST, get by GET', async () => {
    await send('POST', `${pods}/p/exec`);
    await send('GET', `${pods}/p/exec`);
    const verbs = cluster.asked.flatMap(({ resourceAttributes: of }) =>
      of?.name === '' ? [[of.verb, of.subresource]] : [],
    );
    expect(verbs).toEqual([
      ['create', 'exec'],
      ['get', 'exec'],
    ]);
  });

  test('is let through 10 s after the right was granted, and a granted right holds for 60 s', async () => {
    await send('POST', pods);
    cluster.grants = () => true;
    now = 9_999;
    expect((await send('POST', pods)).status).toBe(403);
    now = 10_000;
    expect((await send('POST', pods)).status).toBe(200);
    const asked = cluster.asked.length;
    cluster.grants = () => false;
    now = 69_999;
    expect((await send('POST', pods)).status).toBe(200);
    expect(cluster.asked.length).toBe(asked);
    now = 70_000;
    expect((await send('POST', pods)).status).toBe(403);
  });

  test('is refused by our own rules first: a viewer’s costs the cluster no question', async () => {
    const answer = await send('DELETE', `${pods}/p`, { token: 'viewer' });
    expect(jsonOf(answer).code).toBe('ACCESS_DENIED');
    expect(cluster.asked).toEqual([]);
  });

  test('is not asked about where users act as themselves: their own RBAC decides', async () => {
    const clusters = { find: () => Promise.resolve({ ...recordOf(clusterId), impersonation: true }) };
    const other = await startFixture(cluster, { clusters });
    expect((await other.h2(at(`${pods}/p`), { method: 'DELETE' })).status).toBe(200);
    expect(cluster.asked).toEqual([]);
    await other.close();
  });

  test('reading costs the cluster no question', async () => {
    for (const path of [pods, `${pods}/p`, `${pods}/p/log`, '/apis/apps/v1', '/version'])
      expect((await send('GET', path)).status).toBe(200);
    expect(cluster.asked).toEqual([]);
  });
});

describe('a cluster that cannot say', () => {
  const read = (method: Method, path: string) => requestAttributes(method, path.split('/').slice(1), '');
  const answers: [string, (stream: ServerHttp2Stream) => void][] = [
    ['answers 404', (stream) => stream.respond({ ':status': 404 }, { endStream: true })],
    ['answers 403', (stream) => stream.respond({ ':status': 403 }, { endStream: true })],
    ['answers with what is no review', (stream) => stream.end('{"status":{"allowed":"yes"}}')],
    ['answers with what is no JSON', (stream) => stream.end('<html>')],
    ['never answers', () => undefined],
    ['breaks off', (stream) => stream.close(2)],
  ];

  test.each(answers)(
    'and %s lets the request pass to its own RBAC, and is not asked again at once',
    async (_, serve) => {
      const cluster = await startCluster(serve);
      let asked = 0;
      const link = {
        ...cluster.link,
        request: (
          headers: Parameters<typeof cluster.link.request>[0],
          options: Parameters<typeof cluster.link.request>[1],
        ) => {
          asked += 1;
          // By another path, so that the fixture leaves the answer to us.
          return cluster.link.request({ ...headers, ':path': '/review' }, options);
        },
      };
      const rights = new GuardianRights({ now: () => 0, timeoutMs: 50 });
      await rights.assertGranted(link, read('DELETE', `${pods}/p`));
      await rights.assertGranted(link, read('DELETE', `${pods}/p`));
      expect(asked).toBe(1);
      await cluster.close();
    },
  );
});
