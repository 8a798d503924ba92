import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { AccessRule } from '../../../core/access/access-rule-repository.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { type Role, roles, roleScopes, type Scope } from '../../../core/credential/scope.ts';
import { Authorisation } from '../../../tunnel-fargate/access/authorisation.ts';
import { type Method, requestAttributes } from '../../../tunnel-fargate/access/request-attributes.ts';
import {
  type Access,
  answerOf,
  type Cluster,
  clusterId,
  echo,
  jsonOf,
  open,
  otherClusterId,
  startCluster,
  startFixture,
  tenantId,
} from './access-fixture.ts';

const ruleOf = (part: Partial<AccessRule>): AccessRule => ({
  ruleId: 'a'.repeat(16),
  subjects: ['role:member'],
  clusters: ['*'],
  namespaces: ['shop'],
  apiGroups: [''],
  resources: ['pods'],
  verbs: ['get', 'list', 'watch'],
  createdAt: 0,
  createdBy: 'user:owner',
  ...part,
});
const user = (role: Role): Caller => ({
  kind: 'user',
  tenantId,
  principal: 'user:jane',
  scopes: new Set(roleScopes[role]),
  roles: [role],
});
const key = (...scopes: Scope[]): Caller => ({
  kind: 'api-key',
  tenantId,
  principal: 'api-key:abc',
  scopes: new Set(scopes),
});
const cluster = { clusterId };
const read = (target: string, method: Method = 'GET') => {
  const [path = '', query = ''] = target.split('?');
  return requestAttributes(method, path.split('/').slice(1), query);
};
const pods = '/api/v1/namespaces/shop/pods';

/** 'allowed', or what the refusal says. */
async function judged(
  caller: Caller,
  target: string,
  rules: AccessRule[] = [],
  method: Method = 'GET',
  where = cluster,
) {
  try {
    await new Authorisation(() => Promise.resolve(rules)).authorise(caller, where, read(target, method));
    return 'allowed';
  } catch (error) {
    expect(error).toMatchObject({ code: 'ACCESS_DENIED', status: 403 });
    return (error as Error).message;
  }
}

describe('a role', () => {
  const documents = [
    '/api',
    '/apis',
    '/api/v1',
    '/apis/apps',
    '/apis/apps/v1',
    '/version',
    '/openapi/v3/api/v1',
  ];

  test.each(roles)('%s reads what a cluster serves', async (role) => {
    for (const path of documents) expect(await judged(user(role), path)).toBe('allowed');
  });

  test('member reaches nothing else, not even the flows’ statistics', async () => {
    const targets = [
      pods,
      `${pods}/p`,
      `${pods}?watch=true`,
      '/api/v1/namespaces',
      '/goldmane.Statistics/List',
      '/x',
    ];
    for (const target of targets) expect(await judged(user('member'), target)).toContain('clusters:access');
    expect(await judged(user('member'), '/api', [], 'POST')).toContain('clusters:change');
  });

  test('viewer reads everything, and changes and connects to nothing', async () => {
    for (const target of [
      pods,
      '/api/v1/secrets',
      '/api/v1/nodes/n',
      `${pods}/p/log`,
      '/goldmane.Statistics/List',
    ])
      expect(await judged(user('viewer'), target)).toBe('allowed');
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const)
      expect(await judged(user('viewer'), `${pods}/p`, [], method)).toContain('clusters:change');
    for (const sub of ['exec', 'attach', 'portforward', 'proxy'])
      expect(await judged(user('viewer'), `${pods}/p/${sub}`)).toContain('clusters:change');
  });

  test.each(['editor', 'admin', 'owner'] as const)('%s does everything', async (role) => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const)
      expect(await judged(user(role), `${pods}/p`, [], method)).toBe('allowed');
    expect(await judged(user(role), `${pods}/p/exec`)).toBe('allowed');
  });

  test('decides without reading the rules, so that their table failing does not matter', async () => {
    const authorisation = new Authorisation(() => Promise.reject(new Error('down')));
    await authorisation.authorise(user('viewer'), cluster, read(pods));
    await authorisation.assertReachesClusters(user('member'));
    await expect(authorisation.authorise(user('member'), cluster, read(pods))).rejects.toThrow('down');
  });
});

describe('an API key', () => {
  test('does what its scopes amount to', async () => {
    expect(await judged(key('clusters:access'), pods)).toBe('allowed');
    expect(await judged(key('clusters:access'), pods, [], 'POST')).toContain('clusters:change');
    expect(await judged(key('clusters:change'), pods, [], 'POST')).toBe('allowed');
    expect(await judged(key('clusters:read'), '/apis')).toBe('allowed');
    expect(await judged(key('clusters:read'), pods)).toContain('clusters:access');
  });

  test('with another scope only is let in by a rule that names it', async () => {
    const rules = [ruleOf({ subjects: ['api-key:abc'] })];
    const authorisation = (given: AccessRule[]) => new Authorisation(() => Promise.resolve(given));
    const caller = key('scans:write');
    await expect(authorisation([]).assertReachesClusters(caller)).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    });
    await authorisation(rules).assertReachesClusters(caller);
    expect(await judged(caller, pods, rules)).toBe('allowed');
    expect(await judged(caller, '/apis', rules)).toBe('allowed');
    expect(await judged(caller, '/api/v1/namespaces/dev/pods', rules)).toContain('in shop');
  });

  test('is no member of a role that its scopes resemble', async () => {
    const rules = [ruleOf({ subjects: ['role:viewer', 'role:member'], verbs: ['*'] })];
    expect(await judged(key('clusters:access'), `${pods}/p`, rules, 'DELETE')).toContain('clusters:change');
  });

  test.each(['registration-token', 'cluster'] as const)(
    'a %s never comes in, whatever the rules say',
    async (kind) => {
      const caller: Caller = { kind, tenantId, principal: 'user:jane', scopes: new Set(['clusters:change']) };
      const authorisation = new Authorisation(() =>
        Promise.resolve([ruleOf({ subjects: ['user:jane'], verbs: ['*'] })]),
      );
      await expect(authorisation.assertReachesClusters(caller)).rejects.toMatchObject({
        code: 'ACCESS_DENIED',
      });
      await expect(authorisation.authorise(caller, cluster, read(pods))).rejects.toMatchObject({
        code: 'ACCESS_DENIED',
      });
    },
  );
});

describe('a rule of the tenant', () => {
  test.each<[string, Partial<AccessRule>, string, Method, boolean]>([
    ['for one’s role', {}, pods, 'GET', true],
    ['for one’s principal', { subjects: ['user:jane'] }, pods, 'GET', true],
    ['for another', { subjects: ['user:jan', 'user:jane2', 'role:editor'] }, pods, 'GET', false],
    ['for this cluster', { clusters: [clusterId] }, pods, 'GET', true],
    ['for another cluster', { clusters: [otherClusterId] }, pods, 'GET', false],
    ['for a subresource', { resources: ['pods/log'] }, `${pods}/p/log?follow=true`, 'GET', true],
    ['for pods and all verbs', { verbs: ['*'] }, `${pods}/p/exec?command=sh`, 'GET', false],
    ['for pods and all verbs', { verbs: ['*'] }, `${pods}/p/proxy/secret`, 'GET', false],
    ['for pods and all verbs', { verbs: ['*'] }, '/api/v1/proxy/namespaces/shop/pods/p', 'GET', false],
    ['for pods and all verbs', { verbs: ['*'] }, `${pods}/p/ephemeralcontainers`, 'PATCH', false],
    ['for pods and all verbs', { verbs: ['*'] }, `${pods}/p/eviction`, 'POST', false],
    ['for exec', { resources: ['pods/exec'], verbs: ['connect'] }, `${pods}/p/exec?command=sh`, 'POST', true],
    ['for exec', { resources: ['pods/exec'], verbs: ['connect'] }, `${pods}/p/attach`, 'POST', false],
    ['for one name', { resourceNames: ['web-1'] }, `${pods}/web-1`, 'GET', true],
    [
      'for one name',
      { resourceNames: ['web-1'] },
      `${pods}?fieldSelector=metadata.name%3Dweb-1`,
      'GET',
      true,
    ],
    [
      'for one name',
      { resourceNames: ['web-1'] },
      `${pods}?watch=1&fieldSelector=metadata.name=web-1`,
      'GET',
      true,
    ],
    [
      'for one name',
      { resourceNames: ['web-1'] },
      `${pods}?fieldSelector=metadata.name!=web-1`,
      'GET',
      false,
    ],
    [
      'for one name',
      { resourceNames: ['web-1'] },
      `${pods}?fieldSelector=a=b&fieldSelector=metadata.name=web-1`,
      'GET',
      false,
    ],
    [
      'for one name',
      { resourceNames: ['web-1'], verbs: ['*'] },
      `${pods}?fieldSelector=metadata.name=web-1`,
      'DELETE',
      false,
    ],
    ['for one name', { resourceNames: ['web-1'], verbs: ['*'] }, pods, 'POST', false],
    ['for a namespace', {}, '/api/v1/pods', 'GET', false],
    ['for a namespace', {}, '/api/v1/pods?fieldSelector=metadata.namespace=shop', 'GET', false],
    ['for a namespace', { resources: ['*'] }, '/api/v1/namespaces/shop', 'GET', true],
    ['for a namespace', { resources: ['*'] }, '/api/v1/namespaces', 'GET', false],
    ['for what is in none', { namespaces: [''], resources: ['nodes'] }, '/api/v1/nodes', 'GET', true],
    ['for the core group', {}, '/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods', 'GET', false],
  ])('%s: %j, %s %s is allowed: %s', async (_, part, target, method, allowed) => {
    const answer = await judged(user('member'), target, [ruleOf(part)], method);
    expect(answer === 'allowed').toBe(allowed);
  });

  test('narrower than the request is named in the refusal, without rules of others', async () => {
    const rules = [
      ruleOf({ namespaces: ['shop', 'dev'] }),
      ruleOf({ namespaces: ['lab'], resourceNames: ['web-1'] }),
      ruleOf({ namespaces: ['theirs'], subjects: ['user:joe'] }),
      ruleOf({ namespaces: ['unrelated'], resources: ['secrets'] }),
    ];
    expect(await judged(user('member'), '/api/v1/pods', rules)).toBe(
      'user:jane may not list pods: this needs clusters:access (the role viewer) or an access rule. ' +
        'It is allowed in shop, dev; for web-1 in lab.',
    );
  });
});

describe('requests with rules of the tenant', () => {
  let target: Cluster;
  let access: Access;
  let rules: AccessRule[];
  let reads: number;
  let now: number;
  const at = (path: string, id = clusterId) => `/clusters/${id}${path}`;
  beforeAll(async () => {
    target = await startCluster(echo);
    access = await startFixture(target, {
      rulesOf: (tenant) => {
        reads += 1;
        return Promise.resolve(tenant === tenantId ? rules : []);
      },
      now: () => now,
    });
  });
  beforeEach(() => {
    now = (now || 0) + 10_000;
    [rules, reads] = [[], 0];
  });
  afterAll(async () => {
    await access.close();
    await target.close();
  });
  const get = (path: string, token = 'member', more = {}) => access.h2(at(path), { token, ...more });

  test('are let in by them and refused without them, before the cluster sees anything', async () => {
    rules = [ruleOf({})];
    expect((await get(pods)).status).toBe(200);
    const before = target.seen.length;
    const refused = await get('/api/v1/pods', 'member', { headers: { 'user-agent': 'kubectl/v1.33.1' } });
    expect(refused.status).toBe(403);
    expect(jsonOf(refused)).toMatchObject({ kind: 'Status', reason: 'Forbidden' });
    expect(jsonOf(refused).message).toContain('It is allowed in shop.');
    expect((await get(`${pods}/p/exec`)).status).toBe(403);
    expect(target.seen.length).toBe(before);
  });

  test('are judged one by one: the next one on the same connection is refused once its rule is gone', async () => {
    rules = [ruleOf({})];
    const session = access.session();
    const ask = async () =>
      (await answerOf(open(session, at(pods), { authorization: 'Bearer member' }))).status;
    expect(await ask()).toBe(200);
    rules = [];
    now += 2_000;
    expect(await ask()).toBe(403);
    session.close();
  });

  test('cost no read of the rules where a role allows them, and one in 2 s where not', async () => {
    await get(pods, 'viewer');
    await get('/apis', 'member');
    expect(reads).toBe(0);
    for (let times = 0; times < 5; times += 1) await get(pods);
    expect(reads).toBe(1);
  });

  test('are 503 UNAVAILABLE when the rules cannot be read and were not in the last 60 s', async () => {
    const failing = await startFixture(target, { rulesOf: () => Promise.reject(new Error('throttled')) });
    const answer = await failing.h2(at(pods), { token: 'member' });
    expect([answer.status, jsonOf(answer).code]).toEqual([503, 'UNAVAILABLE']);
    expect(answer.text).not.toContain('throttled');
    expect((await failing.h2(at(pods), { token: 'viewer' })).status).toBe(200);
    await failing.close();
  });

  test('are what the reviews of oneself say, rule by rule', async () => {
    rules = [
      ruleOf({ resources: ['pods', 'pods/log'] }),
      ruleOf({ resources: ['pods/exec'], verbs: ['connect'], resourceNames: ['web-1'] }),
      ruleOf({ namespaces: ['dev'], resources: ['secrets'] }),
    ];
    const post = async (resource: string, spec: object) =>
      jsonOf(
        await get(`/apis/authorization.k8s.io/v1/${resource}`, 'member', {
          method: 'POST',
          body: JSON.stringify({ spec }),
          headers: { 'content-type': 'application/json' },
        }),
      ).status as { allowed: boolean; resourceRules: unknown[]; incomplete: boolean };
    const can = async (resourceAttributes: object) =>
      (await post('selfsubjectaccessreviews', { resourceAttributes })).allowed;
    const inShop = { namespace: 'shop', resource: 'pods' };
    expect(await can({ ...inShop, verb: 'list' })).toBe(true);
    expect(await can({ ...inShop, verb: 'get', subresource: 'log' })).toBe(true);
    expect(await can({ ...inShop, verb: 'create', subresource: 'exec', name: 'web-1' })).toBe(true);
    expect(await can({ ...inShop, verb: 'create', subresource: 'exec' })).toBe(false);
    expect(await can({ ...inShop, verb: 'delete' })).toBe(false);
    expect(await can({ verb: 'list', resource: 'pods' })).toBe(false);
    const { resourceRules, incomplete } = await post('selfsubjectrulesreviews', { namespace: 'shop' });
    expect([resourceRules, incomplete]).toEqual([
      [
        { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list', 'watch'] },
        {
          apiGroups: [''],
          resources: ['pods/exec'],
          resourceNames: ['web-1'],
          verbs: ['connect', 'create', 'get'],
        },
      ],
      true,
    ]);
  });
});
