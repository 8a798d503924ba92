import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { EndedRequest } from '../../../tunnel-fargate/access/server.ts';
import {
  type Access,
  type Cluster,
  clusterId,
  open,
  startCluster,
  startFixture,
  until,
} from './access-fixture.ts';

let cluster: Cluster;
let access: Access;
let ended: EndedRequest[];
const pods = `/clusters/${clusterId}/api/v1/pods`;

beforeEach(async () => {
  ended = [];
  cluster = await startCluster((stream, headers) => {
    // A watch: it goes on until somebody leaves.
    if (String(headers[':path']).includes('watch')) stream.respond({ ':status': 200 });
    else if (!String(headers[':path']).includes('silent')) {
      stream.respond({ ':status': 200 });
      stream.end('{}');
    }
  });
  access = await startFixture(cluster, { onRequest: (request) => ended.push(request) });
});
afterEach(async () => {
  await access.close();
  await cluster.close();
});

test('each request is told once when it has ended, with its status and how long it took', async () => {
  await access.h2(pods);
  await access.h1(`/clusters/c-${'z'.repeat(20)}/api/v1/pods`);
  await access.h2(pods, { token: null });
  await until(() => ended.length === 3);
  expect(ended.map(({ status, endless }) => [status, endless])).toEqual([
    [200, false],
    [404, false],
    [401, false],
  ]);
  for (const { durationMs } of ended) expect(durationMs).toBeGreaterThanOrEqual(0);
});

test('a watch runs until it ends and is told as one that does not end by itself', async () => {
  const session = access.session();
  const watch = open(session, `${pods}?watch=true`);
  watch.resume();
  await until(() => cluster.seen.length === 1 && access.server.inFlight === 1);
  expect(ended).toEqual([]);
  watch.close();
  await until(() => ended.length === 1);
  expect(ended[0]).toMatchObject({ status: 200, endless: true });
  expect(access.server.inFlight).toBe(0);
});

test('a mistake of ours at the end of one request is logged and ends no other', async () => {
  const other = await startFixture(cluster, {
    onRequest: ({ endless }) => {
      if (!endless) throw new Error('the figures are broken');
    },
  });
  const session = other.session();
  const watch = open(session, `${pods}?watch=true`);
  watch.resume();
  await until(() => cluster.seen.length === 1);
  await other.h1(pods).catch(() => undefined);
  await until(() =>
    other.logged.some(({ err }) => (err as Error | undefined)?.message === 'the figures are broken'),
  );
  expect([watch.closed, other.server.inFlight]).toEqual([false, 1]);
  watch.close();
  await other.close();
});

test('a client that leaves while its cluster is asked what it serves holds nothing', async () => {
  const stuck = await startCluster(() => undefined);
  const other = await startFixture(stuck);
  const stream = open(other.session(), `/clusters/${clusterId}/openapi/v3`);
  await until(() => stuck.seen.length === 2);
  stream.close();
  await until(() => other.server.inFlight === 0);
  await other.close();
  await stuck.close();
  // Less than the 15 s after which the question itself is given up.
}, 8_000);

test('a client that leaves before an answer begins has no status', async () => {
  const session = access.session();
  const stream = open(session, `${pods}?labelSelector=silent`);
  await until(() => cluster.seen.length === 1);
  stream.close();
  await until(() => ended.length === 1);
  expect(ended[0]?.status).toBeUndefined();
});
