import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  accessRuleRequest,
  maxAccessRuleBytes,
  maxAccessRules,
} from '../../../core/access/access-rule-schema.ts';
import type { Scope } from '../../../core/credential/scope.ts';
import { unitsAreExact } from '../../engine.ts';
import { type Answered, member } from '../api-call.ts';
import { type Setting, start, startSetting, tenantA, tenantB } from './setting.ts';

const rule = {
  subjects: ['user:jane@example.com', 'role:member'],
  clusters: ['*'],
  namespaces: ['shop'],
  apiGroups: [''],
  resources: ['pods', 'pods/log'],
  verbs: ['get', 'list', 'watch'],
};

let setting: Setting;
beforeAll(async () => {
  setting = await startSetting();
});
afterAll(() => setting.engine.close());

const add = (body: object, tenantId = tenantA) =>
  setting.call({
    method: 'POST',
    path: '/v1/access-rules',
    body: JSON.stringify(body),
    caller: member(tenantId),
  });
const onRule = (method: string, ruleId: string, tenantId = tenantA): Promise<Answered> =>
  setting.call({
    method,
    path: `/v1/access-rules/${ruleId}`,
    resource: '/v1/access-rules/{ruleId}',
    params: { ruleId },
    caller: member(tenantId),
  });

describe('access rules', () => {
  test('give nothing that their maker has not: 403 ACCESS_DENIED', async () => {
    const by = (scopes: readonly Scope[], verbs: readonly string[]) =>
      setting.call({
        method: 'POST',
        path: '/v1/access-rules',
        body: JSON.stringify({ ...rule, verbs }),
        caller: { ...member(tenantA), scopes: new Set<Scope>(['access-rules:manage', ...scopes]) },
      });
    expect((await by([], ['get'])).json()).toMatchObject({ code: 'ACCESS_DENIED' });
    expect((await by(['clusters:access'], ['get', 'create'])).json()).toMatchObject({
      code: 'ACCESS_DENIED',
    });
    expect((await by(['clusters:access'], ['get', 'list'])).status).toBe(201);
    expect((await by(['clusters:change'], ['*'])).status).toBe(201);
  });

  test('are made with 201 and Location, shown, listed, and gone after 204', async () => {
    const made = await add({ ...rule, description: 'the shop team' });
    const ruleId = made.json().ruleId as string;
    expect([made.status, made.headers.Location]).toEqual([201, `access-rules/${ruleId}`]);
    expect(made.json()).toEqual({
      ruleId: expect.stringMatching(/^[a-z2-7]{16}$/),
      ...rule,
      description: 'the shop team',
      createdAt: new Date(start).toISOString(),
      createdBy: 'user:test',
    });
    expect((await onRule('GET', ruleId)).json()).toEqual(made.json());
    const listed = await setting.call({ path: '/v1/access-rules', caller: member(tenantA) });
    expect(listed.json().items).toContainEqual(made.json());
    expect((await onRule('DELETE', ruleId)).status).toBe(204);
    for (const method of ['GET', 'DELETE']) expect((await onRule(method, ruleId)).status).toBe(404);
  });

  test('of another tenant are as absent as none, for reading and for taking away', async () => {
    const ruleId = (await add(rule, tenantB)).json().ruleId as string;
    for (const method of ['GET', 'DELETE']) expect((await onRule(method, ruleId)).status).toBe(404);
    expect((await onRule('GET', ruleId, tenantB)).status).toBe(200);
    const listed = await setting.call({ path: '/v1/access-rules', caller: member(tenantA) });
    expect(listed.text).not.toContain(ruleId);
  });

  test.each([
    ['an unknown member', { effect: 'deny' }],
    ['no subject', { subjects: [] }],
    ['a subject of no kind', { subjects: ['jane'] }],
    ['everybody', { subjects: ['*'] }],
    ['a cluster token', { subjects: [`cluster:c-${'a'.repeat(20)}`] }],
    ['an unknown role', { subjects: ['role:root'] }],
    ['a subject with a space', { subjects: ['user:a b'] }],
    ['a cluster by its name', { clusters: ['shop-1'] }],
    ['a namespace in upper case', { namespaces: ['Shop'] }],
    ['a pattern of namespaces', { namespaces: ['shop-*'] }],
    ['a group with its version', { apiGroups: ['apps/v1'] }],
    ['a resource in upper case', { resources: ['Pods'] }],
    ['a resource with two subresources', { resources: ['pods/log/x'] }],
    ['all subresources of a resource, which Kubernetes does not know either', { resources: ['pods/*'] }],
    ['a verb that is none', { verbs: ['read'] }],
    ['exec by a verb that never reaches it', { resources: ['pods/exec'], verbs: ['create'] }],
    ['names for what names nothing', { resources: ['pods'], verbs: ['create'], resourceNames: ['a'] }],
    ['a name that is a selector', { resourceNames: ['a,b'] }],
    ['33 verbs', { verbs: Array<string>(33).fill('get') }],
    ['too much text', { subjects: Array.from({ length: 10 }, (_, at) => `user:${'x'.repeat(280)}${at}`) }],
  ])('with %s are refused: 400 INVALID_REQUEST', async (_, part) => {
    const answer = await add({ ...rule, ...part });
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test.each([
    { resources: ['pods/exec'], verbs: ['connect'] },
    { resources: ['*'], verbs: ['*'], namespaces: ['*'], apiGroups: ['*'] },
    { resources: ['*/scale', 'tier.networkpolicies'], apiGroups: ['apps', 'projectcalico.org'] },
    { namespaces: [''], resources: ['nodes'] },
    { subjects: ['api-key:abc234'], clusters: [`c-${'a'.repeat(20)}`], resourceNames: ['web-1', 'system:x'] },
    { subjects: ['user:auth0|5f7c'] },
  ])('may hold %j', async (part) => {
    expect((await add({ ...rule, ...part })).status).toBe(201);
  });

  test.each([
    ['member', 403],
    ['viewer', 403],
    ['editor', 403],
    ['admin', 200],
    ['owner', 200],
  ] as const)('are shown to a %s with %d', async (role, status) => {
    const answer = await setting.call({ path: '/v1/access-rules', caller: member(tenantA, role) });
    expect(answer.status).toBe(status);
  });

  test(`are at most ${maxAccessRules} in a tenant: then 409 LIMIT_REACHED until one is taken away`, async () => {
    const tenantId = 't-dddddddddddddddddddd';
    const wide = { ...rule, description: 'x'.repeat(200) };
    const made = await add(wide, tenantId);
    const ruleId = made.json().ruleId as string;
    const others = Array.from({ length: maxAccessRules - 1 }, (_, at) => `other${at}`);
    const put = (id: string) =>
      setting.deps.accessRules.put(tenantId, {
        ...accessRuleRequest.parse(wide),
        ruleId: id,
        createdAt: start,
        createdBy: 'user:a',
      });
    await Promise.all(others.map(put));
    const refused = await add(wide, tenantId);
    expect([refused.status, refused.json().code]).toEqual([409, 'LIMIT_REACHED']);
    expect((await onRule('DELETE', ruleId, tenantId)).status).toBe(204);
    expect((await add(wide, tenantId)).status).toBe(201);
    expect(maxAccessRules * maxAccessRuleBytes).toBeLessThan(1_000_000);
  });
});

(unitsAreExact ? describe : describe.skip)('capacity units', () => {
  test('of each route are what its documentation says', async () => {
    const own = await startSetting({ seed: 'rule units' });
    const call = (method: string, ruleId?: string, body?: object) =>
      own.call({
        method,
        path: `/v1/access-rules${ruleId ? `/${ruleId}` : ''}`,
        ...(ruleId ? { resource: '/v1/access-rules/{ruleId}', params: { ruleId } } : {}),
        ...(body ? { body: JSON.stringify(body) } : {}),
        caller: member(tenantA),
      });
    const units = async (asked: () => Promise<Answered>) => {
      const used = await own.engine.units(asked);
      return [used.read, used.write];
    };
    try {
      const ruleId = (await call('POST', undefined, rule)).json().ruleId as string;
      expect(await units(() => call('POST', undefined, rule))).toEqual([1, 1]);
      expect(await units(() => call('GET'))).toEqual([1, 0]);
      expect(await units(() => call('GET', ruleId))).toEqual([1, 0]);
      expect(await units(() => call('DELETE', ruleId))).toEqual([0, 1]);
    } finally {
      await own.engine.close();
    }
  });
});
