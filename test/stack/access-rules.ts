/** Access rules and impersonation through the whole stack: what the API is told, the access host does, within seconds. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { accessRule } from '../../core/access/access-rule-schema.ts';
import { idToken, Operator } from './people.ts';
import { eventually } from './poll.ts';
import type { Stack } from './stack.ts';

export function accessRules(stack: () => Stack): void {
  describe('access rules', () => {
    let operator: Operator;
    let token: string;
    const demo = (path: string) => `/clusters/${stack().demoClusterId}${path}`;
    const shop = () => demo('/api/v1/namespaces/shop/pods');
    const status = async (path: string) => (await stack().access.get(path, { token })).status;

    beforeAll(async () => {
      operator = await Operator.of(stack());
      const email = 'ruled@demo.example';
      expect(await operator.invite(stack().state.tenantId, 'member', email)).toBe(true);
      token = await idToken(stack(), email);
      expect((await stack().api.get('/v1/me', { token })).json).toMatchObject({ scopes: ['clusters:read'] });
    });
    afterAll(() => operator.close());

    test('let a member into one namespace within 5 s, and out of it within 5 s, watches too', async () => {
      const { api, access, state } = stack();
      expect(await Promise.all([demo('/apis'), demo('/version'), shop()].map(status))).toEqual([
        200, 200, 403,
      ]);
      const rule = {
        subjects: ['role:member'],
        clusters: [stack().demoClusterId],
        namespaces: ['shop'],
        apiGroups: [''],
        resources: ['pods'],
        verbs: ['get', 'list', 'watch'],
      };
      expect(await api.post('/v1/access-rules', rule, { token })).toMatchObject({ status: 403 });
      const made = await api.post('/v1/access-rules', rule, { token: state.adminToken });
      expect(made.status).toBe(201);
      const { ruleId } = accessRule.parse(made.json);
      await eventually('the member is let in', 5_000, async () => (await status(shop())) === 200);
      const refused = await access.get(demo('/api/v1/pods'), { token });
      expect(refused).toMatchObject({ status: 403, text: expect.stringContaining('It is allowed in shop.') });
      expect(await status(demo('/api/v1/namespaces/shop/secrets'))).toBe(403);

      const watch = await access.watch(`${shop()}?watch=true`, 'HTTP/2', { token });
      await watch.event('a pod', ({ type }) => type === 'ADDED');
      const taken = await api.send('DELETE', `/v1/access-rules/${ruleId}`, { token: state.adminToken });
      expect(taken.status).toBe(204);
      await eventually('the member is kept out', 5_000, async () => (await status(shop())) === 403);
      await eventually('the watch has ended', 5_000, () => watch.ended);
    });

    test('of impersonation: the cluster is told the user, and its own RBAC refuses them', async () => {
      const { api, access, state } = stack();
      const path = `/v1/clusters/${stack().demoClusterId}`;
      const set = (impersonation: boolean) =>
        api.send('PATCH', path, { body: { impersonation }, token: state.adminToken });
      const list = () => access.get(demo('/api/v1/pods'), { token: state.adminToken });
      expect(await set(true)).toMatchObject({ status: 200, json: { impersonation: true } });
      try {
        // The demo's API server grants its agent no impersonation, as a cluster without our manifest does not.
        await eventually('the cluster refuses', 6_000, async () => {
          const answer = await list();
          return answer.status === 403 && answer.text.includes('cattery:api-key:');
        });
      } finally {
        expect(await set(false)).toMatchObject({ status: 200, json: { impersonation: false } });
      }
      await eventually('Guardian speaks for itself again', 6_000, async () => (await list()).status === 200);
    });
  });
}
