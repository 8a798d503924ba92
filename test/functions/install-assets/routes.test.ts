import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { TrustRepository } from '../../../core/certificate/trust-repository.ts';
import {
  clusterKey,
  type ClusterRecord,
  ClusterRepository,
} from '../../../core/cluster/cluster-repository.ts';
import { TunnelDirectoryRepository } from '../../../core/directory/tunnel-directory-repository.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { signInFacts } from '../../../core/credential/sign-in-schema.ts';
import { newClusterId, newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/install-assets/deps.ts';
import { otherwise } from '../../../functions/install-assets/otherwise.ts';
import { handlers } from '../../../functions/install-assets/routes.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { caller, member } from '../api-call.ts';
import { addresses, assets, clusterRecord, identity, renewalRecord, trust } from './deployment.ts';

describe('install-assets', () => {
  let engine: Engine;
  let deps: Dependencies;
  let tunnels: TunnelDirectoryRepository;
  const clock = { now: Date.parse('2026-11-23T08:00:00Z') };
  beforeAll(async () => {
    engine = await startEngine();
    const trusted = new TrustRepository(engine.dynamo, engine.tables.directory);
    tunnels = new TunnelDirectoryRepository(engine.dynamo, engine.tables.directory);
    await trusted.write(trust);
    deps = {
      trust: trusted,
      clusters: new ClusterRepository(engine.access, engine.tables.tenant),
      tunnels,
      now: () => clock.now,
      ...assets,
      addresses,
      identity,
    };
  });
  afterAll(() => engine.close());

  const calling = (using = deps) => caller('install-assets', handlers(using), otherwise);
  const registered = async (more: Partial<ClusterRecord> = {}) => {
    const [tenantId, clusterId] = [newTenantId(), newClusterId()];
    await engine.dynamo.send(
      new PutCommand({
        TableName: engine.tables.tenant,
        Item: { ...clusterKey(tenantId, clusterId), ...clusterRecord(clusterId), ...more },
      }),
    );
    return { tenantId, clusterId };
  };
  const get = (what: 'manifest' | 'kubeconfig', clusterId: string, who: Caller | undefined, extra = {}) =>
    calling()({
      path: `/v1/clusters/${clusterId}/${what}`,
      resource: `/v1/clusters/{clusterId}/${what}`,
      params: { clusterId },
      caller: who,
      ...extra,
    });
  /** A tunnel comes up, at a task whose lease lasts 10 s from now. */
  const connect = async (clusterId: string, fingerprint: string) => {
    nonce += 1;
    await tunnels.renewLease({ taskId: 'task', address: '', validUntil: clock.now + 10_000 });
    await tunnels.announce({ clusterId, fingerprint, taskId: 'task', nonce, now: clock.now });
  };
  let nonce = 0;
  const itself = (tenantId: string, clusterId: string): Caller => ({
    kind: 'cluster',
    tenantId,
    principal: `cluster:${clusterId}`,
    scopes: new Set(['cluster:report']),
    clusterId,
  });

  describe('GET /healthz', () => {
    const health = (read: Dependencies['trust']['read']) =>
      calling({ ...deps, trust: { read } })({ path: '/healthz' });

    test('answers 200 when the table does', async () => {
      expect((await calling()({ path: '/healthz' })).json()).toEqual({ status: 'ok' });
    });
    test('answers 503 UNAVAILABLE when it does not, or the certificates are not made yet', async () => {
      const broken = await health(() => Promise.reject(new Error('dynamo.internal')));
      expect([broken.status, broken.json().code]).toEqual([503, 'UNAVAILABLE']);
      expect(broken.text).not.toContain('dynamo.internal');
      expect((await health(() => Promise.resolve(undefined))).status).toBe(503);
    });
  });

  describe.each(['/openapi.json', '/v1/releases'])('GET %s', (path) => {
    test('may be cached, and answers 304 to whoever has it', async () => {
      const first = await calling()({ path });
      expect(first.status).toBe(200);
      expect(first.headers).toMatchObject({
        'Content-Type': 'application/json',
        'Cache-Control': 'public, max-age=300',
      });
      const etag = first.headers.ETag ?? '';
      expect(etag).toMatch(/^"[\w-]+"$/);
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const again = await calling()({ path, headers: { 'If-None-Match': known } });
        expect([again.status, again.text, again.headers.ETag]).toEqual([304, '', etag]);
      }
      expect((await calling()({ path, headers: { 'if-none-match': '"other"' } })).text).toBe(first.text);
    });
  });

  test('GET /openapi.json names the base URL, stage included', async () => {
    expect((await calling()({ path: '/openapi.json' })).json().servers).toEqual([
      { url: 'https://api.example/prod' },
    ]);
  });

  describe.each(['manifest', 'kubeconfig'] as const)('GET /v1/clusters/{clusterId}/%s', (what) => {
    test('answers YAML that nobody may store', async () => {
      const { tenantId, clusterId } = await registered();
      const answer = await get(what, clusterId, member(tenantId));
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        'Content-Type': 'application/yaml',
        'Cache-Control': 'no-store',
      });
      expect(answer.text).toContain(clusterId);
    });

    test("answers the same 404 for another tenant's cluster, an absent, a disconnected one and a guess", async () => {
      const [mine, theirs, gone] = [await registered(), await registered(), await registered()];
      await engine.dynamo.send(
        new PutCommand({
          TableName: engine.tables.tenant,
          Item: {
            ...clusterKey(mine.tenantId, gone.clusterId),
            ...clusterRecord(gone.clusterId),
            disconnectedAt: 1,
          },
        }),
      );
      const who = member(mine.tenantId);
      const answers = await Promise.all(
        [theirs.clusterId, newClusterId(), gone.clusterId, 'c-1'].map((clusterId) =>
          get(what, clusterId, who),
        ),
      );
      for (const answer of answers) {
        expect(answer.status).toBe(404);
        expect(answer.text).toBe(answers[0]?.text);
      }
    });

    (unitsAreExact ? test : test.skip)(
      'costs 1.5 reads, and 1 more while a renewal is under way',
      async () => {
        const { tenantId, clusterId } = await registered();
        expect(await engine.units(() => get(what, clusterId, member(tenantId)))).toEqual({
          read: 1.5,
          write: 0,
        });
        const renewing = await registered({ renewal: renewalRecord(newClusterId()) });
        await connect(renewing.clusterId, 'f'.repeat(64));
        const units = await engine.units(() => get(what, renewing.clusterId, member(renewing.tenantId)));
        expect(units).toEqual({ read: 2.5, write: 0 });
      },
    );

    test('says in a header when the certificate in use ends, from 60 days before', async () => {
      const day = 86_400_000;
      const header = async ({ tenantId, clusterId }: { tenantId: string; clusterId: string }) =>
        (await get(what, clusterId, member(tenantId))).headers['Cattery-Certificate-Expires'];
      const iso = (time: number) => new Date(time).toISOString();
      expect(await header(await registered({ notAfter: clock.now + 60 * day + 1 }))).toBeUndefined();
      const soon = clock.now + 60 * day;
      expect(await header(await registered({ notAfter: soon }))).toBe(iso(soon));
      const renewing = await registered({ notAfter: soon, renewal: renewalRecord(newClusterId()) });
      expect(await header(renewing)).toBeUndefined();
      await connect(renewing.clusterId, 'f'.repeat(64));
      expect(await header(renewing)).toBe(iso(soon));
    });
  });

  test('GET /v1/sign-in tells anybody whom to sign in with and where the clusters are, and costs nothing', async () => {
    const units = await engine.units(async () => {
      const answer = await calling()({ path: '/v1/sign-in' });
      expect([answer.status, answer.headers['Cache-Control']]).toEqual([200, 'no-store']);
      expect(signInFacts.parse(answer.json())).toEqual({
        issuer: identity.OIDC_ISSUER,
        clientId: identity.OIDC_AUDIENCE,
        scopes: ['openid', 'email'],
        accessUrl: 'https://access.example',
      });
    });
    expect(units).toEqual({ read: 0, write: 0 });
  });

  describe('the manifest', () => {
    test('of a cluster in renewal carries the certificate of its live tunnel, while none is up the newest', async () => {
      const renewal = renewalRecord(newClusterId());
      const { tenantId, clusterId } = await registered({ renewal });
      const old = clusterRecord(clusterId);
      const carried = async () => {
        const { text } = await get('manifest', clusterId, member(tenantId));
        const certificates = [old, renewal].map(({ certificate }) => certificate);
        return certificates.filter((pem) => text.includes(Buffer.from(pem).toString('base64')));
      };
      expect(await carried()).toEqual([renewal.certificate]);
      await connect(clusterId, old.fingerprint);
      expect(await carried()).toEqual([old.certificate]);
      await connect(clusterId, renewal.fingerprint);
      expect(await carried()).toEqual([renewal.certificate]);
      await connect(clusterId, old.fingerprint);
      clock.now += 20_000;
      expect(await carried()).toEqual([renewal.certificate]);
    });
    test('is for a cluster its own only: 404 for another of the same tenant', async () => {
      const { tenantId, clusterId } = await registered();
      const sibling = newClusterId();
      await engine.dynamo.send(
        new PutCommand({
          TableName: engine.tables.tenant,
          Item: { ...clusterKey(tenantId, sibling), ...clusterRecord(sibling) },
        }),
      );
      expect((await get('manifest', clusterId, itself(tenantId, clusterId))).status).toBe(200);
      expect((await get('manifest', sibling, itself(tenantId, clusterId))).json().code).toBe('NOT_FOUND');
    });
    test('grants Guardian more only where asked, and refuses what it does not know with 400', async () => {
      const { tenantId, clusterId } = await registered();
      const ask = (query: Record<string, string>) => get('manifest', clusterId, member(tenantId), { query });
      expect((await ask({})).text).not.toContain('ClusterRole');
      for (const access of ['read', 'edit', 'impersonate']) {
        expect((await ask({ access })).text).toContain(`cattery:guardian-${access}`);
      }
      for (const access of ['', 'all', 'READ']) {
        expect((await ask({ access })).json().code).toBe('INVALID_REQUEST');
      }
    });
    test('is not for viewers: 403 ACCESS_DENIED', async () => {
      const { tenantId, clusterId } = await registered();
      expect((await get('manifest', clusterId, member(tenantId, 'viewer'))).json().code).toBe(
        'ACCESS_DENIED',
      );
    });
  });

  describe('the kubeconfig', () => {
    test("embeds the caller's own token only where asked", async () => {
      const { tenantId, clusterId } = await registered();
      const headers = { Authorization: 'Bearer cak_mine' };
      const who = member(tenantId, 'viewer');
      expect((await get('kubeconfig', clusterId, who, { headers })).text).not.toContain('cak_mine');
      expect(
        (await get('kubeconfig', clusterId, who, { headers, query: { embed: 'token' } })).text,
      ).toContain('token: cak_mine\n');
      expect(
        (await get('kubeconfig', clusterId, who, { headers, query: { embed: 'all' } })).json().code,
      ).toBe('INVALID_REQUEST');
    });
    test('is not for clusters: 403 ACCESS_DENIED', async () => {
      const { tenantId, clusterId } = await registered();
      expect((await get('kubeconfig', clusterId, itself(tenantId, clusterId))).json().code).toBe(
        'ACCESS_DENIED',
      );
    });
    test("leaves verification to the system's roots where ACM ends TLS", async () => {
      const { tenantId, clusterId } = await registered();
      const call = calling({ ...deps, addresses: { ...addresses, ACCESS_TRUST: 'system' } });
      const { text } = await call({
        path: `/v1/clusters/${clusterId}/kubeconfig`,
        resource: '/v1/clusters/{clusterId}/kubeconfig',
        params: { clusterId },
        caller: member(tenantId),
      });
      expect(text).not.toContain('certificate-authority');
    });
  });

  describe('what no route matches', () => {
    const other = (method: string, path: string, resource = '/{proxy+}') =>
      calling()({ method, path, resource });

    test.each([
      ['POST', '/healthz', 'GET'],
      ['PATCH', '/v1/registration-tokens', 'GET, POST'],
      ['PUT', '/v1/clusters/c-1', 'DELETE, GET, PATCH'],
      ['HEAD', '/v1/images/sha256:1', 'GET'],
    ])('answers %s %s with 405 METHOD_NOT_ALLOWED and Allow', async (method, path, allow) => {
      const answer = await other(method, path, path);
      expect([answer.status, answer.json().code, answer.headers.Allow]).toEqual([
        405,
        'METHOD_NOT_ALLOWED',
        allow,
      ]);
    });

    test.each([
      '/',
      '/v1',
      '/v2/clusters',
      '/v1/clusters/',
      '/v1/clusters/c-1/',
      '/v1/clusters//manifest',
      '/v1/images/a/b',
      '/HEALTHZ',
    ])('answers GET %s with 404 NOT_FOUND', async (path) => {
      const answer = await other('GET', path);
      expect([answer.status, answer.json().code, answer.headers.Allow]).toEqual([
        404,
        'NOT_FOUND',
        undefined,
      ]);
    });
  });
});
