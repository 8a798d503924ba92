import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answered, type Call, member } from '../api-call.ts';
import { unitsAreExact } from '../../engine.ts';
import { ecPair } from './certificate-requests.ts';
import { type Setting, startSetting, tenantA, tenantB } from './setting.ts';

let setting: Setting;
beforeAll(async () => {
  setting = await startSetting();
});
afterAll(() => setting.engine.close());

const onCluster = (clusterId: string, more: Partial<Call> = {}): Promise<Answered> =>
  setting.call({
    path: `/v1/clusters/${clusterId}`,
    resource: '/v1/clusters/{clusterId}',
    params: { clusterId },
    caller: member(tenantA),
    ...more,
  });

describe('two tenants', () => {
  const routes: [
    string,
    string,
    string,
    (other: { clusterId: string; tokenId: string }) => string,
    string,
  ][] = [
    ['GET', '/v1/clusters/{clusterId}', 'clusterId', ({ clusterId }) => clusterId, 'c-guessedguessedguess2'],
    [
      'DELETE',
      '/v1/clusters/{clusterId}',
      'clusterId',
      ({ clusterId }) => clusterId,
      'c-guessedguessedguess2',
    ],
    ['DELETE', '/v1/registration-tokens/{tokenId}', 'tokenId', ({ tokenId }) => tokenId, 'guessedguessed22'],
  ];

  test.each(routes)(
    '%s %s: another tenant’s, a guessed and an impossible ID give the same 404',
    async (method, resource, name, idOf, guessed) => {
      const other = await setting.connect(`two-${name.toLowerCase()}-${method.toLowerCase()}`, tenantB);
      const unused = await setting.newToken({ tenantId: tenantB });
      const before = await setting.dump();
      const theirs = [idOf(other), ...(name === 'tokenId' ? [unused.tokenId] : [])];
      const answers = await Promise.all(
        [...theirs, guessed, 'x', '../../etc', `${idOf(other)}#`].map((id) =>
          setting.call({
            method,
            path: resource.replace(`{${name}}`, id),
            resource,
            params: { [name]: id },
            caller: member(tenantA),
          }),
        ),
      );
      expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
      expect([answers[0]?.status, answers[0]?.json().code]).toEqual([404, 'NOT_FOUND']);
      expect(await setting.dump()).toEqual(before);
    },
  );

  test('see only their own clusters and tokens in lists, whatever the request claims', async () => {
    const mine = await setting.connect('mine');
    const theirs = await setting.connect('theirs', tenantB);
    for (const path of ['/v1/clusters', '/v1/registration-tokens']) {
      const { text } = await setting.call({
        path,
        query: { tenantId: tenantB, limit: '200' },
        headers: { 'x-tenant-id': tenantB },
        caller: member(tenantA),
      });
      expect(text).toContain(mine.clusterId);
      expect(text).not.toContain(theirs.clusterId);
    }
  });

  test('cannot use each other’s cursors: 400 INVALID_CURSOR', async () => {
    await setting.connect('page-1', tenantB);
    await setting.connect('page-2', tenantB);
    for (const path of ['/v1/clusters', '/v1/registration-tokens']) {
      const first = await setting.call({ path, query: { limit: '1' }, caller: member(tenantB) });
      const cursor = first.json().nextCursor as string;
      const stolen = await setting.call({ path, query: { cursor }, caller: member(tenantA) });
      expect([stolen.status, stolen.json().code]).toEqual([400, 'INVALID_CURSOR']);
      expect((await setting.call({ path, query: { cursor }, caller: member(tenantB) })).status).toBe(200);
    }
  });
});

describe('the list of clusters', () => {
  const tenantId = 't-cccccccccccccccccccc';

  test('pages through all live clusters once, full pages first, tombstones left out', async () => {
    const connected = [];
    for (let index = 0; index < 7; index += 1) connected.push(await setting.connect(`c-${index}`, tenantId));
    for (const index of [1, 2, 5]) {
      await onCluster(connected[index]?.clusterId ?? '', { method: 'DELETE', caller: member(tenantId) });
    }
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const answer = await setting.call({
        path: '/v1/clusters',
        query: { limit: '2', ...(cursor ? { cursor } : {}) },
        caller: member(tenantId),
      });
      const body = answer.json() as { items: { clusterName: string }[]; nextCursor?: string };
      pages.push(body.items.map(({ clusterName }) => clusterName));
      cursor = body.nextCursor;
    } while (cursor);
    expect(pages.map((page) => page.length)).toEqual([2, 2]);
    expect(pages.flat().sort()).toEqual(['c-0', 'c-3', 'c-4', 'c-6']);
  });

  test.each(['0', '201', 'x', '-1', '1.5'])('refuses limit=%s with 400 INVALID_REQUEST', async (limit) => {
    const answer = await setting.call({ path: '/v1/clusters', query: { limit }, caller: member(tenantId) });
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });
});

describe('a cluster', () => {
  test('is pending, then connected, then disconnected when its task’s lease is over, each since when', async () => {
    const { clusterId } = await setting.connect('stateful');
    const state = async () => {
      const one = (await onCluster(clusterId)).json();
      const list = await setting.call({
        path: '/v1/clusters',
        query: { limit: '200' },
        caller: member(tenantA),
      });
      const listed = (list.json().items as Record<string, unknown>[]).find(
        (item) => item.clusterId === clusterId,
      );
      expect(listed).toEqual(one);
      return [one.state, one.since];
    };
    const iso = (time: number) => new Date(time).toISOString();
    const registeredAt = setting.clock.now;
    expect(await state()).toEqual(['pending', iso(registeredAt)]);
    const now = registeredAt + 5_000;
    await setting.deps.tunnels.renewLease({ taskId: 'task', address: 'a:1', validUntil: now + 10_000 });
    await setting.deps.tunnels.announce({ clusterId, fingerprint: 'f', taskId: 'task', nonce: now, now });
    expect(await state()).toEqual(['connected', iso(now)]);
    setting.clock.now = now + 20_000;
    expect(await state()).toEqual(['disconnected', iso(now + 10_000)]);
    await setting.deps.tunnels.withdraw({ clusterId, taskId: 'task', nonce: now, now: now + 5_000 });
    expect(await state()).toEqual(['disconnected', iso(now + 5_000)]);
  });
});

describe('who may', () => {
  test('GET /v1/me answers every verified credential with its tenant, principal and scopes', async () => {
    const { caller } = await setting.newToken();
    const answer = await setting.call({ path: '/v1/me', caller });
    expect(answer.json()).toEqual({
      tenantId: tenantA,
      principal: caller.principal,
      scopes: ['registration:use'],
    });
    expect((await setting.call({ path: '/v1/me' })).status).toBe(401);
  });

  test.each([
    ['viewer', 'GET', '/v1/clusters', 200],
    ['viewer', 'GET', '/v1/registration-tokens', 403],
    ['editor', 'POST', '/v1/registration-tokens', 403],
    ['editor', 'DELETE', '/v1/clusters/{clusterId}', 403],
    ['admin', 'POST', '/v1/registration-tokens', 201],
    ['owner', 'GET', '/v1/registration-tokens', 200],
    ['owner', 'POST', '/v1/registrations', 403],
  ] as const)('a %s: %s %s is answered %d', async (role, method, resource, status) => {
    const answer = await setting.call({
      method,
      path: resource,
      params: { clusterId: 'c-guessedguessedguess2' },
      body: '{}',
      caller: member(tenantA, role),
    });
    expect(answer.status).toBe(status);
  });

  test('a spent but unexpired registration token reaches registrations and its own /v1/me, nothing else', async () => {
    const { caller } = await setting.newToken();
    const pair = ecPair();
    await setting.register(caller, 'spent-token', pair);
    const statuses = await Promise.all(
      ['/v1/clusters', '/v1/registration-tokens', '/v1/me'].map(
        async (path) => (await setting.call({ path, caller })).status,
      ),
    );
    expect(statuses).toEqual([403, 403, 200]);
    expect((await setting.register(caller, 'spent-token', pair)).status).toBe(201);
  });
});

(unitsAreExact ? describe : describe.skip)('capacity units', () => {
  test('of each route are what its documentation says', async () => {
    const own = await startSetting({ seed: 'units' });
    try {
      const units = async (call: () => Promise<Answered>, status: number) => {
        const used = await own.engine.units(async () => {
          expect((await call()).status).toBe(status);
        });
        return [used.read, used.write];
      };
      const as = member(tenantA);
      const post = (path: string, body: object) => () =>
        own.call({ method: 'POST', path, body: JSON.stringify(body), caller: as });
      expect(await units(post('/v1/registration-tokens', {}), 201)).toEqual([0, 2]);
      const { caller, tokenId } = await own.newToken();
      const unused = await own.newToken();
      const pair = ecPair();
      const register = () => own.register(caller, 'priced', pair);
      // Reads: token, trust, name, cluster. Writes: 7 of 1 unit, the answer (here 4), the cluster 2.
      expect(await units(register, 201)).toEqual([3.5, 13]);
      // Token, cluster, token in the list, answer.
      expect(await units(register, 201)).toEqual([4, 0]);
      expect(await units(() => own.register(caller, 'priced', ecPair()), 409)).toEqual([1, 1]);
      const { items } = await own.deps.registered.list(tenantA, { limit: 1 });
      const clusterId = items[0]?.clusterId ?? '';
      const cluster = { path: '', resource: '/v1/clusters/{clusterId}', params: { clusterId }, caller: as };
      expect(await units(() => own.call(cluster), 200)).toEqual([1.5, 0]);
      expect(await units(() => own.call({ path: '/v1/clusters', caller: as }), 200)).toEqual([1.5, 0]);
      expect(await units(() => own.call({ path: '/v1/registration-tokens', caller: as }), 200)).toEqual([
        1, 0,
      ]);
      expect(await units(() => own.call({ path: '/v1/me', caller: as }), 200)).toEqual([0, 0]);
      const remove = (id: string) => () =>
        own.call({
          method: 'DELETE',
          path: '',
          resource: '/v1/registration-tokens/{tokenId}',
          params: { tokenId: id },
          caller: as,
        });
      expect(await units(remove(unused.tokenId), 204)).toEqual([1, 2]);
      expect(await units(remove(tokenId), 409)).toEqual([1, 0]);
      // Mark and tombstone 2 each, the answer 4, certificate 1, revocation 1, credential 1, name 1.
      expect(await units(() => own.call({ ...cluster, method: 'DELETE' }), 204)).toEqual([0, 12]);
      // The mark that is refused, the tombstone, the credential.
      expect(await units(() => own.call({ ...cluster, method: 'DELETE' }), 404)).toEqual([1, 2]);
    } finally {
      await own.engine.close();
    }
  });
});
