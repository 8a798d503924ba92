import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import {
  type Access,
  type Cluster,
  clusterId,
  echo,
  jsonOf,
  noUpgrade,
  open,
  otherClusterId,
  otherTenantId,
  recordOf,
  startCluster,
  startFixture,
  tenantId,
} from './access-fixture.ts';

const at = (path: string, id = clusterId) => `/clusters/${id}${path}`;
const pods = at('/api/v1/namespaces/default/pods');

describe('the access side', () => {
  let cluster: Cluster;
  let access: Access;
  beforeAll(async () => {
    cluster = await startCluster(echo);
    access = await startFixture(cluster);
  });
  afterAll(async () => {
    await access.close();
    await cluster.close();
  });

  test.each(['h1', 'h2'] as const)(
    'passes a request into the cluster without its prefix over %s',
    async (way) => {
      const answer = await access[way](`${pods}?limit=2`, { token: 'viewer' });
      expect(answer.status).toBe(200);
      expect(jsonOf(answer).path).toBe('/api/v1/namespaces/default/pods?limit=2');
      expect(cluster.seen.at(-1)).toMatchObject({ ':authority': 'kubernetes.default.svc', ':method': 'GET' });
    },
  );

  test.each(['h1', 'h2'] as const)('passes a body into the cluster over %s', async (way) => {
    const body = JSON.stringify({ kind: 'Pod' });
    const answer = await access[way](pods, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(jsonOf(answer).body).toBe(body);
    expect(cluster.seen.at(-1)).toMatchObject({ 'content-type': 'application/json' });
  });

  test.each(['h1', 'h2'] as const)(
    'lets no identity or credential of the client through over %s',
    async (way) => {
      await access[way](pods, {
        headers: {
          'Impersonate-User': 'system:admin',
          'Impersonate-Group': 'system:masters',
          'X-Forwarded-For': '10.0.0.1',
          'X-Remote-User': 'admin',
          Forwarded: 'for=10.0.0.1',
          Cookie: 'a=b',
          'X-Harmless': 'yes',
        },
      });
      expect(Object.keys(cluster.seen.at(-1) ?? {}).sort()).toEqual(
        [':authority', ':method', ':path', ':scheme', 'x-harmless'].sort(),
      );
    },
  );

  test.each([
    ['no credential', null],
    ['an unknown one', 'stranger'],
    ['one with characters that no token has', 'a b'],
  ])('answers %s with 401 UNAUTHENTICATED and names the scheme', async (_, token) => {
    const answer = await access.h2(pods, { token });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(jsonOf(answer)).toMatchObject({
      code: 'UNAUTHENTICATED',
      requestId: answer.headers['x-request-id'],
    });
  });

  test('shows nobody which clusters other tenants have: own answers, all else is the same 404', async () => {
    const answers = await Promise.all([
      access.h2(at('/api/v1/pods', otherClusterId), { token: 'owner' }),
      access.h2(at('/api/v1/pods', `c-${'z'.repeat(20)}`), { token: 'owner' }),
      access.h2(at('/api/v1/pods', 'c-x'), { token: 'owner' }),
      access.h2(at('/api/v1/pods', `C-${'A'.repeat(20)}`), { token: 'owner' }),
      access.h2(at('/api/v1/pods'), { token: 'owner-other' }),
      access.h2(at('/version'), { token: 'viewer-other' }),
      access.h2(at('/openapi/v3'), { token: 'viewer-other' }),
    ]);
    for (const answer of answers) {
      expect(answer.status).toBe(404);
      const { requestId: _, ...body } = jsonOf(answer);
      expect(body).toEqual({
        type: 'urn:cattery:problem:NOT_FOUND',
        title: 'There is no such thing',
        status: 404,
        code: 'NOT_FOUND',
      });
    }
    expect(await access.h2(at('/api/v1/pods'), { token: 'owner' })).toMatchObject({ status: 200 });
  });

  test('asks for a cluster as the tenant of the credential and as no other', async () => {
    access.found.length = 0;
    await access.h2(at('/api/v1/pods', `c-${'d'.repeat(20)}`), { token: 'viewer-other' });
    expect(access.found).toEqual([`${otherTenantId} c-${'d'.repeat(20)}`]);
  });

  test.each([
    ['GET', pods],
    ['GET', `${pods}?watch=true`],
    ['GET', `${pods}/p`],
    ['GET', `${pods}/p/log`],
    ['GET', at('/api/v1/secrets')],
    ['GET', at('/api')],
    ['GET', at('/apis')],
  ])('lets a viewer %s %s', async (method, path) => {
    expect(await access.h2(path, { method, token: 'viewer' })).toMatchObject({ status: 200 });
  });

  test.each([
    ['POST', pods],
    ['POST', `${pods}?dryRun=All`],
    ['PUT', `${pods}/p`],
    ['PATCH', `${pods}/p`],
    ['DELETE', `${pods}/p`],
    ['DELETE', pods],
    ['GET', `${pods}/p/exec?command=ls`],
    ['GET', `${pods}/p/proxy/`],
    ['POST', at('/api/v1/watch/pods')],
    ['POST', at('/apis/authorization.k8s.io/v1/subjectaccessreviews')],
  ])(
    'answers a viewer that wants to %s %s with 403 ACCESS_DENIED before the cluster sees it',
    async (method, path) => {
      const before = cluster.seen.length;
      const answer = await access.h2(path, { method, token: 'viewer' });
      expect(answer.status).toBe(403);
      expect(jsonOf(answer).code).toBe('ACCESS_DENIED');
      expect(cluster.seen.length).toBe(before);
      expect((await access.h2(path, { method, token: 'editor' })).status).toBe(200);
    },
  );

  test('answers a credential without any right to clusters with 403 before looking at the cluster', async () => {
    const other = await startFixture(cluster, {
      verify: () =>
        Promise.resolve({
          kind: 'api-key',
          tenantId,
          principal: 'api-key:a',
          scopes: new Set(['scans:write'] as const),
        }),
    });
    expect((await other.h2(pods)).status).toBe(403);
    expect(other.found).toEqual([]);
    await other.close();
  });

  test.each(['OPTIONS', 'TRACE', 'PROPFIND'])('answers %s with 405 METHOD_NOT_ALLOWED', async (method) => {
    const answer = await access.h2(pods, { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toContain('GET');
  });

  test.each(['h1', 'h2'] as const)('answers what is none of its paths with 404 over %s', async (way) => {
    for (const path of ['/', '/healthz', at('/healthz'), at('/goldmane.Flows/List'), at('')]) {
      expect((await access[way](path)).status).toBe(404);
    }
  });

  test.each(['h1', 'h2'] as const)(
    'answers a path that two readers may read differently with 400 over %s',
    async (way) => {
      const before = cluster.seen.length;
      for (const path of [
        '/api/v1/%2e%2e/version',
        '/api/v1//pods',
        '/api/v1/namespaces/x%2Fy',
        '/api/v1/pods%00',
      ]) {
        const answer = await access[way](at(path));
        expect([answer.status, jsonOf(answer).code]).toEqual([400, 'INVALID_REQUEST']);
      }
      expect(cluster.seen.length).toBe(before);
    },
  );

  test('answers a Kubernetes client in its own form, with our code among the causes', async () => {
    const answer = await access.h2(`${pods}/p`, {
      method: 'DELETE',
      token: 'viewer',
      headers: { 'user-agent': 'kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0' },
    });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(jsonOf(answer)).toMatchObject({
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      reason: 'Forbidden',
      code: 403,
      message: expect.stringContaining(
        'user:viewer may not delete pods in default: this needs clusters:change (the role editor) or an access rule.',
      ),
      details: { causes: [{ reason: 'ACCESS_DENIED' }, { message: answer.headers['x-request-id'] }] },
    });
  });

  test('answers a refused upload to the end, although nobody reads it', async () => {
    for (const way of ['h1', 'h2'] as const) {
      const answer = await access[way](pods, { method: 'POST', token: 'viewer', body: 'x'.repeat(300_000) });
      expect(jsonOf(answer).code).toBe('ACCESS_DENIED');
    }
  });

  test('answers another protocol with 501 UPGRADE_NOT_SUPPORTED to whom it would be allowed, 403 to others', async () => {
    const upgrade = { connection: 'Upgrade', upgrade: 'other' };
    const exec = `${pods}/p/exec?command=ls`;
    expect(jsonOf(await access.h1(exec, { headers: upgrade })).code).toBe('UPGRADE_NOT_SUPPORTED');
    expect(jsonOf(await access.h1(exec, { headers: upgrade, token: 'viewer' })).code).toBe('ACCESS_DENIED');
    expect(jsonOf(await access.h1(exec, { headers: upgrade, token: null })).code).toBe('UNAUTHENTICATED');
  });

  test('makes /version from what the cluster said of itself', async () => {
    const answer = await access.h2(at('/version'), { token: 'viewer' });
    expect(jsonOf(answer)).toMatchObject({ major: '1', minor: '33', gitVersion: 'v1.33.5' });
    expect((await access.h2(at('/version'), { method: 'POST' })).status).toBe(405);
    expect((await access.h2(at('/version/x'))).status).toBe(404);
  });

  test('says in words that there is no /openapi/v2, to kubectl as the text that it shows', async () => {
    const answer = await access.h2(at('/openapi/v2'));
    expect([answer.status, jsonOf(answer).code]).toEqual([406, 'NOT_OFFERED']);
    const headers = { 'user-agent': 'kubectl/v1.28.0 (linux/amd64)' };
    // It asks for the second when it was refused the first.
    for (const path of ['/openapi/v2', '/swagger-2.0.0.pb-v1']) {
      const told = await access.h2(at(path), { headers });
      expect([told.status, told.headers['content-type']]).toEqual([406, 'text/plain; charset=utf-8']);
      expect(told.text).toContain('kubectl 1.29');
    }
  });

  test('asks for the roots in the form that Guardian does not redirect', async () => {
    expect(jsonOf(await access.h2(at('/api'))).path).toBe('/api/');
    expect(jsonOf(await access.h2(at('/apis?timeout=32s'))).path).toBe('/apis/?timeout=32s');
  });

  test('remembers a good credential and a found cluster for a few seconds, a bad one never', async () => {
    let now = 0;
    const other = await startFixture(cluster, { now: () => now, timing: { cacheMs: 5_000 } });
    await other.h2(pods);
    now = 4_999;
    await other.h2(pods);
    expect([other.verified.length, other.found.length]).toEqual([1, 1]);
    now = 5_000;
    await other.h2(pods);
    expect([other.verified.length, other.found.length]).toEqual([2, 2]);
    await other.h2(pods, { token: 'stranger' });
    await other.h2(pods, { token: 'stranger' });
    expect(other.verified.length).toBe(4);
    await other.close();
  });

  test('answers 503 UNAVAILABLE when the tables do not answer, without telling why', async () => {
    const failing = () => Promise.reject(new Error('secret internals'));
    const one = await startFixture(cluster, { verify: failing });
    const two = await startFixture(cluster, { clusters: { find: failing } });
    for (const broken of [one, two]) {
      const answer = await broken.h2(pods);
      expect([answer.status, jsonOf(answer).code]).toEqual([503, 'UNAVAILABLE']);
      expect(answer.text).not.toContain('secret internals');
      await broken.close();
    }
  });

  test('refuses a link of another tenant, whatever the directory says', async () => {
    const foreign = await startCluster(echo, clusterId, otherTenantId);
    const other = await startFixture(foreign);
    expect((await other.h2(pods)).status).toBe(500);
    expect(foreign.seen).toEqual([]);
    await other.close();
    await foreign.close();
  });

  test('logs who did what and how it ended, and no credential', async () => {
    access.logged.length = 0;
    await access.h2(`${pods}/p?x=query-text`, { method: 'DELETE', token: 'viewer' });
    expect(access.logged).toMatchObject([
      {
        tenantId,
        clusterId,
        principal: 'user:viewer',
        verb: 'delete',
        resource: 'pods',
        namespace: 'default',
        name: 'p',
        status: 403,
        code: 'ACCESS_DENIED',
      },
    ]);
    expect(JSON.stringify(access.logged)).not.toMatch(/Bearer|query-text/);
  });
});

describe('a cluster that is away', () => {
  test('is 503 CLUSTER_NOT_CONNECTED with Retry-After and since when', async () => {
    const access = await startFixture(undefined);
    access.route = { kind: 'absent', since: Date.UTC(2026, 10, 23, 7, 0, 0) };
    const answer = await access.h2(pods);
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('5');
    expect(jsonOf(answer)).toMatchObject({
      code: 'CLUSTER_NOT_CONNECTED',
      detail: 'The cluster is not connected since 2026-11-23T07:00:00.000Z.',
    });
    access.route = { kind: 'absent', since: undefined };
    expect(jsonOf(await access.h2(pods)).detail).toBe('The cluster is not connected yet.');
    expect((await access.h2(at('/version'))).status).toBe(200);
    await access.close();
  });

  test('is told to a Kubernetes client without the header that makes it repeat ten times', async () => {
    const access = await startFixture(undefined);
    const answer = await access.h2(pods, { headers: { 'user-agent': 'kubectl/v1.33.1' } });
    expect(answer.status).toBe(503);
    expect(answer.headers).not.toHaveProperty('retry-after');
    expect(jsonOf(answer)).toMatchObject({ reason: 'ServiceUnavailable', details: { retryAfterSeconds: 5 } });
    await access.close();
  });

  test('is waited for as long as configured, and not for a client that has gone', async () => {
    const waits: unknown[] = [];
    let aborted: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => (aborted = resolve));
    const access = await startFixture(undefined, {
      timing: { routeWaitMs: 1234 },
      router: {
        route: (_, options) => {
          waits.push(options?.waitMs);
          return new Promise((_resolve, reject) => {
            options?.signal?.addEventListener('abort', () => {
              aborted();
              reject(options.signal?.reason as Error);
            });
            stream.close(8);
          });
        },
      },
    });
    const stream = open(access.session(), pods);
    await gone;
    expect(waits).toEqual([1234]);
    await access.close();
  });

  test('passes on what the link says is wrong', async () => {
    const access = await startFixture(undefined);
    access.route = {
      kind: 'link',
      link: {
        clusterId,
        tenantId,
        request: () => Promise.reject(new Problem('BAD_GATEWAY', 'The certificate inside is another one.')),
        upgrade: noUpgrade,
      },
    };
    const answer = await access.h2(pods);
    expect([answer.status, jsonOf(answer).detail]).toEqual([502, 'The certificate inside is another one.']);
    await access.close();
  });

  test('a cluster record is found once for many requests at a time', async () => {
    let calls = 0;
    const cluster = await startCluster(echo);
    const access = await startFixture(cluster, {
      clusters: {
        find: async (_, id) => {
          calls += 1;
          return Promise.resolve(recordOf(id));
        },
      },
    });
    await Promise.all(Array.from({ length: 10 }, () => access.h2(pods)));
    expect(calls).toBe(1);
    await access.close();
    await cluster.close();
  });
});
