import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Answered, type Call, member } from '../api-call.ts';
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
const change = (clusterId: string, body: unknown, more: Partial<Call> = {}) =>
  onCluster(clusterId, { method: 'PATCH', body: JSON.stringify(body), ...more });

describe('the settings of a cluster', () => {
  test('begin without impersonation, are changed with 200, and say who changed them in the log', async () => {
    const { clusterId } = await setting.connect('settings');
    expect((await onCluster(clusterId)).json()).toMatchObject({ impersonation: false });
    for (const impersonation of [true, true, false]) {
      const answer = await change(clusterId, { impersonation });
      expect([answer.status, answer.json()]).toEqual([200, (await onCluster(clusterId)).json()]);
      expect(answer.json()).toMatchObject({ clusterId, clusterName: 'settings', impersonation });
      expect(await setting.deps.clusters.find(tenantA, clusterId)).toMatchObject({ impersonation });
      expect(setting.told.lines.at(-1)).toEqual({
        level: 'info',
        message: 'cluster settings changed',
        extra: { tenantId: tenantA, principal: 'user:test', clusterId, impersonation },
      });
    }
  });

  test('refuse what does not fit with 400 INVALID_REQUEST', async () => {
    const { clusterId } = await setting.connect('unfit');
    for (const body of [{}, [], { impersonation: 'true' }, { impersonation: true, tenantId: tenantB }]) {
      const answer = await change(clusterId, body);
      expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
    }
    expect((await onCluster(clusterId)).json()).toMatchObject({ impersonation: false });
  });

  test('of another tenant’s, an unknown, a disconnected and a disconnecting cluster are the same 404', async () => {
    const other = await setting.connect('theirs', tenantB);
    const gone = await setting.connect('gone');
    await onCluster(gone.clusterId, { method: 'DELETE' });
    const closing = await setting.connect('closing');
    await setting.deps.registered.beginDisconnect(tenantA, closing.clusterId, setting.clock.now);
    const before = await setting.dump();
    for (const id of [other.clusterId, 'c-guessedguessedguess2', gone.clusterId, closing.clusterId]) {
      const answer = await change(id, { impersonation: true });
      expect([answer.status, answer.json().code]).toEqual([404, 'NOT_FOUND']);
    }
    expect(await setting.dump()).toEqual(before);
  });

  test.each([
    ['viewer', 403],
    ['editor', 403],
    ['admin', 200],
  ] as const)('are changed by a %s with %d', async (role, status) => {
    const { clusterId } = await setting.connect(`by-${role}`);
    const answer = await change(clusterId, { impersonation: true }, { caller: member(tenantA, role) });
    expect(answer.status).toBe(status);
  });
});
