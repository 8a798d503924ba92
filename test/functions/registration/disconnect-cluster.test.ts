import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Answered } from '../api-call.ts';
import { member } from '../api-call.ts';
import { type Setting, start, startSetting, tenantA } from './setting.ts';

const disconnect = (setting: Setting, clusterId: string): Promise<Answered> =>
  setting.call({
    method: 'DELETE',
    path: `/v1/clusters/${clusterId}`,
    resource: '/v1/clusters/{clusterId}',
    params: { clusterId },
    caller: member(tenantA),
  });

describe('disconnecting a cluster', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting();
  });
  afterAll(() => setting.engine.close());

  test('answers 204, revokes its certificate, takes its credential and frees its name', async () => {
    const { clusterId } = await setting.connect('leaving');
    const record = await setting.deps.clusters.find(tenantA, clusterId);
    setting.clock.now += 1_000;
    const answer = await disconnect(setting, clusterId);
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(await setting.deps.certificates.find(record?.fingerprint ?? '')).toMatchObject({
      revokedAt: setting.clock.now,
    });
    expect(await setting.deps.certificates.revokedSince(start)).toMatchObject([
      { clusterId, fingerprint: record?.fingerprint },
    ]);
    expect(await setting.deps.identities.findCredential(record?.tokenHash ?? '')).toBeUndefined();
    expect(await setting.deps.clusters.find(tenantA, clusterId)).toBeUndefined();
    expect((await setting.connect('leaving')).clusterId).not.toBe(clusterId);
  });

  test('again, or one that never was, answers 404 NOT_FOUND', async () => {
    const { clusterId } = await setting.connect('once');
    await disconnect(setting, clusterId);
    const before = await setting.dump();
    for (const id of [clusterId, 'c-guessedguessedguess2', 'not-an-id']) {
      const answer = await disconnect(setting, id);
      expect([answer.status, answer.json().code]).toEqual([404, 'NOT_FOUND']);
    }
    expect(await setting.dump()).toEqual(before);
  });

  test('leaves a tombstone that outlives every token by an hour', async () => {
    const { clusterId } = await setting.connect('tombstone');
    await disconnect(setting, clusterId);
    const { tenant = [] } = await setting.dump();
    expect(tenant.find(({ sk }) => sk === clusterId)).toMatchObject({
      disconnectedAt: setting.clock.now,
      expiresAt: Math.ceil(setting.clock.now / 1000) + 25 * 3_600,
    });
  });
});

test('a disconnection whose process dies after any write is completed by asking again', async () => {
  const run = async (nth: number) => {
    const setting = await startSetting();
    try {
      const { clusterId } = await setting.connect('crashing');
      setting.engine.faults.dieAfterWrite(nth);
      const first = await disconnect(setting, clusterId);
      const writes = setting.engine.faults.mend();
      if (nth > writes) {
        expect(first.status).toBe(204);
      } else {
        expect([nth, first.status]).toEqual([nth, 500]);
        const again = await disconnect(setting, clusterId);
        // With its tombstone it is gone: the second time is there for its credential.
        expect([nth, again.status]).toEqual([nth, nth < 6 ? 204 : 404]);
      }
      const dump = await setting.dump();
      return {
        writes,
        dump: JSON.stringify(dump)
          .replace(/[0-9a-f]{64}/g, '…')
          .replace(/-----BEGIN[^-]+-----END CERTIFICATE-----/g, '…'),
      };
    } finally {
      await setting.engine.close();
    }
  };
  const { writes, dump } = await run(Infinity);
  expect(writes).toBe(7);
  for (let nth = 1; nth <= writes; nth += 1) expect((await run(nth)).dump).toBe(dump);
});
