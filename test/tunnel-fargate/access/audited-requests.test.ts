import { once } from 'node:events';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { AuditRecord } from '../../../core/audit/audit-record.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { verifyTrail } from '../../../scripts/audit-verification.ts';
import { trailOf } from '../audit/audit-fixture.ts';
import {
  type Access,
  callerOf,
  type Cluster,
  clusterId,
  echo,
  open,
  otherClusterId,
  recordOf,
  type Serve,
  startCluster,
  startFixture,
  tenantId,
  until,
} from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/namespaces/default/pods`;

let cluster: Cluster;
let access: Access;
const start = async (serve: Serve = echo, options: Parameters<typeof startFixture>[1] = {}) => {
  cluster = await startCluster(serve);
  access = await startFixture(cluster, options);
};
afterEach(async () => {
  access.audit.fault = () => undefined;
  await access.close();
  await cluster.close();
});

const requests = (): AuditRecord[] =>
  access.audit.records.filter(({ phase }) => ['request', 'open', 'end'].includes(phase));
/** How many requests were refused unread, as far as the trail tells by now. */
const refusals = (code: string): number =>
  access.audit.records
    .filter((record) => record.phase === 'refusals' && record.code === code)
    .reduce((sum, { count = 0 }) => sum + count, 0);
const recorded = async (count = 1): Promise<AuditRecord[]> => {
  await until(() => requests().length >= count);
  return requests();
};

describe('a request of a user is on record', () => {
  test.each(['h1', 'h2'] as const)('with who, what, how it went and how much, over %s', async (way) => {
    await start();
    const answer = await access[way](`${pods}/web`, {
      method: 'PATCH',
      body: 'twelve bytes',
      headers: { 'content-type': 'application/merge-patch+json', 'x-secret': 'hidden' },
    });
    const [record] = await recorded();
    expect(record).toMatchObject({
      phase: 'request',
      requestId: answer.headers['x-request-id'],
      tenantId,
      principal: 'user:editor',
      clusterId,
      verb: 'patch',
      group: '',
      resource: 'pods',
      subresource: '',
      namespace: 'default',
      name: 'web',
      decision: 'allowed',
      status: 200,
      bytesIn: 12,
      bytesOut: answer.text.length,
      outcome: 'complete',
    });
    expect(record?.durationMs).toBeGreaterThanOrEqual(0);
  });

  test('without its query, its headers and its bodies', async () => {
    await start();
    await access.h2(`${pods}?fieldManager=query-word`, {
      method: 'POST',
      body: 'body-word',
      headers: { 'x-header': 'header-word' },
    });
    await access.h2(`/clusters/${clusterId}/api/v1?query-word=1`);
    const texts = JSON.stringify(await recorded(2));
    for (const word of ['query-word', 'body-word', 'header-word', 'Bearer'])
      expect(texts).not.toContain(word);
  });

  test('when it is refused, and with the code', async () => {
    await start();
    await access.h2(pods, { method: 'POST', body: '{}', token: 'viewer' });
    await access.h2(`/clusters/${otherClusterId}/api/v1/pods`);
    access.route = { kind: 'absent', since: undefined };
    await access.h2(pods);
    expect(
      (await recorded(3)).map(({ decision, code, status, clusterId: id }) => [decision, code, status, id]),
    ).toEqual([
      ['refused', 'ACCESS_DENIED', 403, clusterId],
      ['refused', 'NOT_FOUND', 404, otherClusterId],
      ['allowed', 'CLUSTER_NOT_CONNECTED', 503, clusterId],
    ]);
  });

  test('by its path when it is about no resource', async () => {
    await start();
    await access.h2(`/clusters/${clusterId}/version`);
    const [record] = await recorded();
    expect(record).toMatchObject({ verb: 'get', path: '/version', status: 200 });
    expect(record).not.toHaveProperty('resource');
  });

  test('not when nobody knows whose it is', async () => {
    await start();
    await access.h2(pods, { token: null });
    await access.h2(pods, { token: 'nonsense' });
    await access.h2(pods);
    expect(await recorded()).toHaveLength(1);
    expect(access.logged.filter(({ status }) => status === 401)).toHaveLength(2);
  });

  test('when it goes on for long: at its start, and at its end with how it ended', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('{"type":"ADDED"}\n');
    });
    const session = access.session();
    const watch = open(session, `${pods}?watch=true`);
    await once(watch, 'data');
    const [first] = await recorded();
    expect(first).toMatchObject({ phase: 'open', verb: 'watch', decision: 'allowed' });
    expect(first).not.toHaveProperty('status');
    watch.close();
    const [, last] = await recorded(2);
    expect(last).toMatchObject({
      phase: 'end',
      requestId: first?.requestId,
      outcome: 'client-gone',
      bytesOut: 17,
      status: 200,
    });
  });

  test('as cut, when the cluster breaks off', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('half');
      setTimeout(() => stream.destroy(new Error('the cluster breaks off')), 20);
    });
    const stream = open(access.session(), pods);
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
    expect((await recorded())[0]).toMatchObject({ outcome: 'cut', bytesOut: 4, status: 200 });
  });

  test('in a chain that verifies, and ends with the server', async () => {
    await start();
    await Promise.all(Array.from({ length: 20 }, () => access.h2(pods)));
    await access.server.drain(1_000);
    await access.trail.close(1_000);
    expect(await verifyTrail(trailOf(access.audit.objects))).toMatchObject([
      { tenantId, records: 22, fromStart: true, end: 'closed', faults: [] },
    ]);
  });
});

describe('while S3 takes no records', () => {
  const failing = async (options: Parameters<typeof startFixture>[1] = {}) => {
    await start(echo, options);
    access.audit.fault = () => 'refused';
    await access.h2(pods);
    await until(() => access.trail.failingTenants === 1);
    cluster.seen.length = 0;
  };

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'a %s is refused with 503 AUDIT_UNAVAILABLE and never reaches the cluster',
    async (method) => {
      await failing();
      const answer = await access.h2(method === 'POST' ? pods : `${pods}/web`, { method });
      expect([answer.status, JSON.parse(answer.text)]).toMatchObject([503, { code: 'AUDIT_UNAVAILABLE' }]);
      expect(answer.headers['retry-after']).toBe('5');
      expect(cluster.seen).toEqual([]);
    },
  );

  test('so is an exec, and who may not is still told that: 403', async () => {
    await failing();
    expect((await access.h1(`${pods}/web/exec?command=sh`, { method: 'POST' })).status).toBe(503);
    expect((await access.h2(`${pods}/web`, { method: 'DELETE', token: 'viewer' })).status).toBe(403);
    expect(cluster.seen).toEqual([]);
  });

  test('reads go on, and all are on record once it does again; then changes are let in', async () => {
    await failing();
    for (let nth = 0; nth < 5; nth += 1) expect((await access.h2(pods)).status).toBe(200);
    expect((await access.h2(`${pods}/web`, { method: 'DELETE' })).status).toBe(503);
    access.audit.fault = () => undefined;
    const records = await recorded(7);
    expect(records.map(({ verb, decision }) => [verb, decision])).toEqual([
      ...Array.from({ length: 6 }, () => ['list', 'allowed']),
      ['delete', 'refused'],
    ]);
    await until(() => access.trail.failingTenants === 0);
    expect((await access.h2(`${pods}/web`, { method: 'DELETE' })).status).toBe(200);
    expect((await verifyTrail(trailOf(access.audit.objects)))[0]?.faults).toEqual([]);
  });

  test('reads are refused too when the memory is full, and no record is lost', async () => {
    await failing({ audit: { memory: { tenantBytes: 8_000 } } });
    const statuses: number[] = [];
    for (let nth = 0; nth < 30; nth += 1) statuses.push((await access.h2(pods)).status);
    expect(statuses.at(-1)).toBe(503);
    access.audit.fault = () => undefined;
    const letIn = statuses.filter((status) => status === 200).length + 1;
    expect(await recorded(letIn)).toHaveLength(letIn);
    await until(() => refusals('AUDIT_UNAVAILABLE') === 31 - letIn);
  });
});

describe('the limits of a tenant', () => {
  test('answer 429 TOO_MANY_REQUESTS with Retry-After over the rate, and the record says how many', async () => {
    await start(echo, { limits: { requestsPerSecond: 1, requestBurst: 2 } });
    const answers = [];
    for (let nth = 0; nth < 6; nth += 1) answers.push(await access.h2(pods));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(3);
    expect(JSON.parse(refused[0]?.text ?? '')).toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    expect(refused[0]?.headers['retry-after']).toBe('1');
    await until(() => refusals('TOO_MANY_REQUESTS') === refused.length);
    // Another tenant is not held up.
    expect((await access.h2(`/clusters/${otherClusterId}/version`, { token: 'editor-other' })).status).toBe(
      200,
    );
  });

  test('count requests under way, watches too, and let new ones in when they end, however they end', async () => {
    await start(
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('event');
      },
      { limits: { concurrentRequests: 2 } },
    );
    const session = access.session();
    const watches = [1, 2].map(() => open(session, `${pods}?watch=true`));
    await Promise.all(watches.map((watch) => once(watch, 'data')));
    expect((await access.h1(`/clusters/${clusterId}/version`)).status).toBe(429);
    watches[0]?.close();
    await recorded(3);
    expect((await access.h1(`/clusters/${clusterId}/version`)).status).toBe(200);
    // A refused one gives its place back as well.
    for (let nth = 0; nth < 3; nth += 1) {
      expect((await access.h1(`/clusters/${clusterId}/nothing`)).status).toBe(404);
    }
    watches[1]?.close();
  });

  test('let running answers go on when too many bytes have moved, and refuse new requests', async () => {
    await start(
      (stream, headers) => {
        stream.respond({ ':status': 200 });
        if (headers[':path']?.includes('watch') !== true) stream.end(Buffer.alloc(200_000));
        else stream.write('event');
      },
      { limits: { bytesPerSecond: 1_000, byteBurst: 100_000 } },
    );
    const watch = open(access.session(), `${pods}?watch=true`);
    await once(watch, 'data');
    const big = await access.h2(pods);
    expect([big.status, big.text.length]).toEqual([200, 200_000]);
    const next = await access.h2(pods);
    expect(next.status).toBe(429);
    expect(Number(next.headers['retry-after'])).toBeGreaterThan(1);
    expect(watch.closed).toBe(false);
    watch.close();
  });

  test('tell kubectl in a header, too: it waits and asks again', async () => {
    await start(echo, { limits: { requestsPerSecond: 1, requestBurst: 1 } });
    const call = { headers: { 'user-agent': 'kubectl/v1.33.0' } };
    await access.h2(pods, call);
    const answer = await access.h2(pods, call);
    expect([answer.status, answer.headers['retry-after']]).toEqual([429, '1']);
    expect(JSON.parse(answer.text)).toMatchObject({ kind: 'Status', details: { retryAfterSeconds: 1 } });
  });
});

describe('when a membership is revoked', () => {
  type Streams = Awaited<ReturnType<typeof running>>;
  /** A watch, a download and another user's watch, and the switch that takes the first one's membership away. */
  async function running() {
    const gone = new Set<string>();
    await start(
      (stream, headers) => {
        stream.respond({ ':status': 200 });
        if (headers[':path']?.includes('big') !== true) {
          stream.write('event\n');
          return;
        }
        const more = () => {
          while (!stream.destroyed && stream.write(Buffer.alloc(16_384)));
        };
        stream.on('drain', more);
        more();
      },
      {
        timing: { lookMs: 20, recheckMs: 20, minAgeMs: 0, staleMs: 200 },
        refresh: (caller) =>
          gone.has('failing')
            ? Promise.reject(new Error('the table does not answer'))
            : gone.has(caller.principal)
              ? Promise.reject(new Problem('NOT_A_MEMBER'))
              : Promise.resolve(caller),
      },
    );
    const session = access.session();
    const of = (role: string, query: string) =>
      open(session, `${pods}${query}`, { authorization: `Bearer ${role}` });
    const streams = {
      watch: of('editor', '?watch=true'),
      big: of('editor', '/big'),
      other: of('viewer', '?watch=true'),
    };
    await Promise.all(Object.values(streams).map((stream) => once(stream, 'data')));
    streams.big.resume();
    return { ...streams, gone };
  }
  const ended = (stream: Streams['watch']) => new Promise((resolve) => stream.once('close', resolve));

  test('its watches end as watches do, other answers are cut, other users’ go on; the record says revoked', async () => {
    const { watch, big, other, gone } = await running();
    const ends = Promise.all([ended(watch), ended(big)]);
    watch.resume();
    gone.add('user:editor');
    await ends;
    expect([watch.rstCode, watch.readableEnded]).toEqual([0, true]);
    expect(big.rstCode).not.toBe(0);
    expect([other.closed, other.destroyed]).toEqual([false, false]);
    await until(() => requests().filter(({ outcome }) => outcome === 'revoked').length === 2);
    const revoked = requests().filter(({ outcome }) => outcome === 'revoked');
    expect(new Set(revoked.map(({ principal }) => principal))).toEqual(new Set(['user:editor']));
    // What the cluster still did for it has ended, too.
    other.close();
  });

  test('a client that does not take the end is cut', async () => {
    const { watch, gone, other, big } = await running();
    watch.pause();
    gone.add('user:editor');
    await Promise.all([ended(watch), ended(big)]);
    other.close();
  });

  test('running requests go on while the table fails, for as long as is documented', async () => {
    const { watch, other, big, gone } = await running();
    gone.add('failing');
    const before = Date.now();
    watch.resume();
    other.resume();
    await Promise.all([ended(watch), ended(other), ended(big)]);
    expect(Date.now() - before).toBeGreaterThanOrEqual(150);
    expect(
      access.logged.some((line) => String(Reflect.get(Object(line.err), 'message')).includes('table')),
    ).toBe(true);
  });
});

describe('when a role is lowered', () => {
  test('what runs in the cluster with the groups of the old role is cut, though the new one would allow it', async () => {
    let lowered = false;
    await start(
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('event\n');
      },
      {
        timing: { lookMs: 20, recheckMs: 20, minAgeMs: 0 },
        clusters: { find: (_, id) => Promise.resolve({ ...recordOf(id), impersonation: true }) },
        verify: () => Promise.resolve({ ...callerOf('admin'), roles: ['admin'] }),
        refresh: (caller) => Promise.resolve(lowered ? { ...caller, roles: ['editor'] } : caller),
      },
    );
    const watch = open(access.session(), `${pods}?watch=true`);
    await once(watch, 'data');
    watch.resume();
    const ended = new Promise((resolve) => watch.once('close', resolve));
    lowered = true;
    await ended;
    await until(() => requests().some(({ outcome }) => outcome === 'revoked'));
  });

  test.each([true, false])(
    'what runs ends when its cluster begins or ceases to see users: %s',
    async (after) => {
      let impersonation = !after;
      await start(
        (stream) => {
          stream.respond({ ':status': 200 });
          stream.write('event\n');
        },
        {
          timing: { lookMs: 20, recheckMs: 20, minAgeMs: 0, cacheMs: 20 },
          clusters: { find: (_, id) => Promise.resolve({ ...recordOf(id), impersonation }) },
          refresh: (caller) => Promise.resolve(caller),
        },
      );
      const watch = open(access.session(), `${pods}?watch=true`);
      await once(watch, 'data');
      watch.resume();
      const ended = new Promise((resolve) => watch.once('close', resolve));
      impersonation = after;
      await ended;
      await until(() => requests().some(({ outcome }) => outcome === 'revoked'));
    },
  );

  test('what the lower role allows goes on, what it does not is cut', async () => {
    let lowered = false;
    await start(
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.write('event\n');
      },
      {
        timing: { lookMs: 20, recheckMs: 20, minAgeMs: 0 },
        refresh: (caller) =>
          Promise.resolve(
            lowered
              ? { ...caller, scopes: new Set(['clusters:access' as const]), roles: ['viewer'] }
              : caller,
          ),
      },
    );
    const session = access.session();
    const watch = open(session, `${pods}?watch=true`);
    const change = open(session, pods, { ':method': 'POST' });
    change.end('{}');
    await Promise.all([once(watch, 'data'), once(change, 'data')]);
    change.resume();
    const cut = new Promise((resolve) => change.once('close', resolve));
    lowered = true;
    await cut;
    expect(change.rstCode).not.toBe(0);
    expect(watch.closed).toBe(false);
    watch.close();
    await until(() => requests().some(({ outcome, verb }) => outcome === 'revoked' && verb === 'create'));
  });
});
