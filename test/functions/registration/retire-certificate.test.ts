import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Answered } from '../api-call.ts';
import { member } from '../api-call.ts';
import { ecPair } from './certificate-requests.ts';
import { itself, RenewingCluster } from './renewals.ts';
import { type Setting, startSetting, tenantA, tenantB } from './setting.ts';

const codeOf = ({ status, text }: Answered) =>
  text === '' ? status : `${status} ${(JSON.parse(text) as { code: string }).code}`;

describe('retiring a certificate', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting({ seed: 'retire' });
  });
  afterAll(() => setting.engine.close());
  const [first, second, third] = [ecPair(), ecPair(), ecPair()];
  let names = 0;
  const registered = (tenantId = tenantA) =>
    RenewingCluster.register(setting, `cluster-${(names += 1)}`, first, tenantId);

  test('answers 204 and revokes the old one, once the tunnel is up with the renewed one', async () => {
    const cluster = await registered();
    const { fingerprint, certificate } = await cluster.renewed(first, second);
    await cluster.connect(fingerprint);
    expect(codeOf(await cluster.retire(cluster.fingerprint))).toBe(204);
    expect(await cluster.standing(cluster.fingerprint)).toBe('revoked');
    expect(await cluster.standing(fingerprint)).toBe('let in');
    const revoked = await setting.deps.certificates.revokedSince(setting.clock.now);
    expect(revoked.filter(({ clusterId }) => clusterId === cluster.clusterId)).toMatchObject([
      { fingerprint: cluster.fingerprint },
    ]);
    const record = await setting.deps.clusters.find(tenantA, cluster.clusterId);
    expect(record).toMatchObject({ fingerprint, certificate, renewedAt: setting.clock.now });
    expect([record?.renewal, record?.outdated]).toEqual([undefined, undefined]);
  });

  test('again, or of a certificate that is none of its own, answers 404 NOT_FOUND and changes nothing', async () => {
    const [cluster, other] = [await registered(), await registered()];
    const { fingerprint } = await cluster.renewed(first, second);
    await cluster.connect(fingerprint);
    await cluster.retire(cluster.fingerprint);
    const before = await setting.dump();
    for (const each of [
      cluster.fingerprint,
      other.fingerprint,
      '0'.repeat(64),
      'x',
      fingerprint.toUpperCase(),
    ]) {
      expect(codeOf(await cluster.retire(each))).toBe('404 NOT_FOUND');
    }
    expect(await setting.dump()).toEqual(before);
  });

  describe('answers 409 CERTIFICATE_IN_USE and changes nothing', () => {
    const refused = async (cluster: RenewingCluster, fingerprint: string) => {
      const before = await setting.dump();
      expect(codeOf(await cluster.retire(fingerprint))).toBe('409 CERTIFICATE_IN_USE');
      expect(await setting.dump()).toEqual(before);
    };

    test('while it is the only one, connected or not', async () => {
      const cluster = await registered();
      await refused(cluster, cluster.fingerprint);
      await cluster.connect(cluster.fingerprint);
      await refused(cluster, cluster.fingerprint);
    });

    test('while the tunnel uses it, or none has come with the renewed one', async () => {
      const cluster = await registered();
      await cluster.renewed(first, second);
      await refused(cluster, cluster.fingerprint);
      await cluster.connect(cluster.fingerprint);
      await refused(cluster, cluster.fingerprint);
    });

    test('for the newest, whichever the tunnel uses', async () => {
      const cluster = await registered();
      const { fingerprint } = await cluster.renewed(first, second);
      await cluster.connect(cluster.fingerprint);
      await refused(cluster, fingerprint);
      await cluster.connect(fingerprint);
      await refused(cluster, fingerprint);
    });

    test('while the tunnel with the renewed one is down again, by its word or by its task’s lease', async () => {
      const cluster = await registered();
      const { fingerprint } = await cluster.renewed(first, second);
      await cluster.connect(fingerprint);
      setting.clock.now += 10_001;
      await refused(cluster, cluster.fingerprint);
      await cluster.connect(fingerprint);
      await cluster.disconnect();
      await refused(cluster, cluster.fingerprint);
      await cluster.connect(fingerprint);
      expect(codeOf(await cluster.retire(cluster.fingerprint))).toBe(204);
    });
  });

  test('lets the next renewal begin: two certificates at a time, however often', async () => {
    const cluster = await registered();
    const keys = [first, second, third, ecPair(), ecPair()];
    const made = [cluster.fingerprint];
    for (let round = 1; round < keys.length; round += 1) {
      const [current, next] = [keys[round - 1] ?? first, keys[round] ?? first];
      const { fingerprint } = await cluster.renewed(current, next);
      made.push(fingerprint);
      const standings = await Promise.all(made.map((each) => cluster.standing(each)));
      expect(standings.filter((each) => each === 'let in')).toHaveLength(2);
      await cluster.connect(fingerprint);
      expect(codeOf(await cluster.retire(made[round - 1] ?? ''))).toBe(204);
    }
    const standings = await Promise.all(made.map((each) => cluster.standing(each)));
    expect(standings).toEqual(['revoked', 'revoked', 'revoked', 'revoked', 'let in']);
  });

  test('is for the cluster itself only: 404 for another’s, 403 for its owner', async () => {
    const [cluster, theirs] = [await registered(), await registered(tenantB)];
    const { fingerprint } = await theirs.renewed(first, second);
    await theirs.connect(fingerprint);
    const ask = (caller: ReturnType<typeof itself>) =>
      setting.call({
        method: 'DELETE',
        path: '',
        resource: '/v1/clusters/{clusterId}/certificates/{fingerprint}',
        params: { clusterId: theirs.clusterId, fingerprint: theirs.fingerprint },
        caller,
      });
    expect(codeOf(await ask(itself(cluster.clusterId)))).toBe('404 NOT_FOUND');
    expect(codeOf(await ask(member(tenantB)))).toBe('403 ACCESS_DENIED');
    expect(await theirs.standing(theirs.fingerprint)).toBe('let in');
  });

  test('fails with 500 and changes nothing while the directory of tunnels does not answer', async () => {
    const cluster = await registered();
    const { fingerprint } = await cluster.renewed(first, second);
    await cluster.connect(fingerprint);
    setting.engine.faults.failWhen((operation, input) => {
      const { Key } = input as { Key?: { pk?: unknown } };
      return operation === 'GetItem' && JSON.stringify(Key?.pk ?? '').includes('CLUSTER#');
    });
    expect(codeOf(await cluster.retire(cluster.fingerprint))).toBe('500 INTERNAL');
    setting.engine.faults.mend();
    expect(await cluster.standing(cluster.fingerprint)).toBe('let in');
    expect(codeOf(await cluster.retire(cluster.fingerprint))).toBe(204);
  });
});
