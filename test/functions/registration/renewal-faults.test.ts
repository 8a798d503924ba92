import { describe, expect, test } from '@jest/globals';
import type { CertificateRenewed } from '../../../core/cluster/cluster-schema.ts';
import { fingerprintOfPem } from '../../../functions/registration/cluster-certificate.ts';
import { member } from '../api-call.ts';
import { ecPair } from './certificate-requests.ts';
import { itself, RenewingCluster } from './renewals.ts';
import { type Setting, startSetting, tenantA } from './setting.ts';

const [first, second, third] = [ecPair(), ecPair(), ecPair()];

async function inSetting<T>(work: (setting: Setting, cluster: RenewingCluster) => Promise<T>): Promise<T> {
  const setting = await startSetting();
  try {
    return await work(setting, await RenewingCluster.register(setting, 'renewing', first));
  } finally {
    await setting.engine.close();
  }
}

const disconnect = (setting: Setting, clusterId: string, caller = member(tenantA)) =>
  setting.call({
    method: 'DELETE',
    path: '',
    resource: '/v1/clusters/{clusterId}',
    params: { clusterId },
    caller,
  });

/** The certificates in the directory that would let a tunnel in. */
const valid = async (setting: Setting): Promise<string[]> =>
  ((await setting.dump()).directory ?? [])
    .filter(({ sk, revokedAt }) => sk === 'CERTIFICATE' && revokedAt === undefined)
    .map(({ pk }) => String(pk).slice('CERT#'.length))
    .sort();

/** What is left to be revoked; nothing, once all is done. */
const outdated = async (setting: Setting, { clusterId }: RenewingCluster) =>
  (await setting.deps.clusters.find(tenantA, clusterId))?.outdated;

/** How a cluster comes to the renewal whose writes are counted. */
const beginnings = {
  'the first renewal': () => Promise.resolve(first),
  'one that replaces another': async (cluster: RenewingCluster) => {
    await cluster.connect(cluster.fingerprint);
    await cluster.renewed(first, second);
    return first;
  },
  'one that takes another up': async (cluster: RenewingCluster) => {
    await cluster.connect((await cluster.renewed(first, second)).fingerprint);
    return second;
  },
} as const satisfies Record<string, (cluster: RenewingCluster) => Promise<typeof first>>;

describe.each(Object.entries(beginnings))('a renewal whose process dies, %s', (what, begin) => {
  const writes = what === 'the first renewal' ? 2 : 5;

  test('after any write is completed by the same request, which gets the one certificate', async () => {
    for (let nth = 1; nth <= writes; nth += 1) {
      await inSetting(async (setting, cluster) => {
        const current = await begin(cluster);
        setting.engine.faults.dieAfterWrite(nth);
        const died = await cluster.renew(current, third);
        setting.engine.faults.mend();
        expect([nth, died.status]).toEqual([nth, 500]);
        const renewed = await cluster.renewed(current, third);
        expect(await cluster.renewed(current, third)).toEqual(renewed);
        expect(await valid(setting)).toHaveLength(2);
        expect(await valid(setting)).toContain(renewed.fingerprint);
        expect(await outdated(setting, cluster)).toBeUndefined();
      });
    }
  });

  test('after any write, and that nobody completes, leaves no more than two that let in, and all go with the cluster', async () => {
    for (let nth = 1; nth <= writes; nth += 1) {
      await inSetting(async (setting, cluster) => {
        const current = await begin(cluster);
        setting.engine.faults.dieAfterWrite(nth);
        await cluster.renew(current, third);
        setting.engine.faults.mend();
        expect((await valid(setting)).length).toBeLessThanOrEqual(2);
        expect((await disconnect(setting, cluster.clusterId)).status).toBe(204);
        expect(await valid(setting)).toEqual([]);
      });
    }
  });

  test('has these writes and no others', async () => {
    await inSetting(async (setting, cluster) => {
      const current = await begin(cluster);
      setting.engine.faults.dieAfterWrite(Infinity);
      await cluster.renewed(current, third);
      expect(setting.engine.faults.mend()).toBe(writes);
    });
  });
});

test('a renewal that the signing key fails changes nothing, and succeeds once it answers', async () => {
  await inSetting(async (setting, cluster) => {
    const before = await setting.dump();
    setting.signer.broken = true;
    expect((await cluster.renew(first, second)).status).toBe(500);
    expect(await setting.dump()).toEqual(before);
    setting.signer.broken = false;
    expect((await cluster.renew(first, second)).status).toBe(201);
  });
});

test('a retirement whose process dies after any write is completed by asking again, and the tunnel’s own stays', async () => {
  const writes = 4;
  const run = (nth: number) =>
    inSetting(async (setting, cluster) => {
      const { fingerprint } = await cluster.renewed(first, second);
      await cluster.connect(fingerprint);
      setting.engine.faults.dieAfterWrite(nth);
      const died = await cluster.retire(cluster.fingerprint);
      const made = setting.engine.faults.mend();
      if (nth <= writes) {
        expect([nth, died.status]).toEqual([nth, 500]);
        // After the last write it is done: what was lost is the answer.
        const again = await cluster.retire(cluster.fingerprint);
        expect([nth, again.status]).toEqual([nth, nth < writes ? 204 : 404]);
      }
      expect(await valid(setting)).toEqual([fingerprint]);
      expect(await outdated(setting, cluster)).toBeUndefined();
      return made;
    });
  expect(await run(Infinity)).toBe(writes);
  for (let nth = 1; nth <= writes; nth += 1) await run(nth);
});

test('a cluster that disconnects itself and dies after any write finishes by asking again with its own token, as far as it lets it', async () => {
  for (let nth = 1; nth <= 9; nth += 1) {
    await inSetting(async (setting, cluster) => {
      await cluster.renewed(first, second);
      const hash = (await setting.deps.clusters.find(tenantA, cluster.clusterId))?.tokenHash ?? '';
      setting.engine.faults.dieAfterWrite(nth);
      expect([nth, (await disconnect(setting, cluster.clusterId, itself(cluster.clusterId))).status]).toEqual(
        [nth, 500],
      );
      setting.engine.faults.mend();
      const opens = (await setting.deps.identities.findCredential(hash)) !== undefined;
      expect([nth, opens]).toEqual([nth, nth < 9]);
      if (opens) {
        const again = await disconnect(setting, cluster.clusterId, itself(cluster.clusterId));
        expect([nth, again.status]).toEqual([nth, nth < 8 ? 204 : 404]);
      }
      expect(await setting.deps.identities.findCredential(hash)).toBeUndefined();
      expect(await valid(setting)).toEqual([]);
      expect(await setting.deps.clusters.find(tenantA, cluster.clusterId)).toBeUndefined();
      await setting.connect('renewing');
    });
  }
});

describe('many renewals at once', () => {
  test('for one key give one certificate', async () => {
    await inSetting(async (setting, cluster) => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => cluster.renew(first, second)));
      const made = answers.map((answer) => (answer.json() as CertificateRenewed).certificate);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
      expect(new Set(made).size).toBe(1);
      expect(await valid(setting)).toEqual([cluster.fingerprint, fingerprintOfPem(made[0] ?? '')].sort());
    });
  });

  test('for many keys give certificates of which the newest counts; who loses gets 409 CONFLICT and may ask again', async () => {
    await inSetting(async (setting, cluster) => {
      const keys = Array.from({ length: 12 }, () => ecPair());
      const answers = await Promise.all(keys.map((key) => cluster.renew(first, key)));
      for (const answer of answers) {
        expect(answer.status === 201 || answer.json().code === 'CONFLICT').toBe(true);
      }
      expect(answers.some(({ status }) => status === 201)).toBe(true);
      const record = await setting.deps.clusters.find(tenantA, cluster.clusterId);
      expect(await valid(setting)).toEqual([cluster.fingerprint, record?.renewal?.fingerprint ?? ''].sort());
      expect(record?.outdated).toBeUndefined();
    });
  });

  test('and a disconnection in their midst leave nothing that lets in', async () => {
    for (const when of [0, 1, 2, 3]) {
      await inSetting(async (setting, cluster) => {
        const renewals = Array.from({ length: 6 }, (_, index) =>
          index === when
            ? disconnect(setting, cluster.clusterId)
            : cluster.renew(first, index % 2 === 0 ? second : third),
        );
        const statuses = (await Promise.all(renewals)).map(({ status }) => status);
        expect(statuses[when]).toBe(204);
        for (const status of statuses) expect([201, 204, 404, 409]).toContain(status);
        expect(await valid(setting)).toEqual([]);
      });
    }
  });

  test('while the old one is retired leave the one in use and the newest', async () => {
    await inSetting(async (setting, cluster) => {
      const { fingerprint } = await cluster.renewed(first, second);
      await cluster.connect(fingerprint);
      const [retired, renewed] = await Promise.all([
        cluster.retire(cluster.fingerprint),
        cluster.renew(second, third),
      ]);
      expect([204, 404, 409]).toContain(retired.status);
      expect([201, 409]).toContain(renewed.status);
      const newest = await cluster.renewed(second, third);
      expect(await valid(setting)).toEqual([fingerprint, newest.fingerprint].sort());
    });
  });
});

test('a registration that is completed once more after its cluster was renewed leaves the cluster alone', async () => {
  const setting = await startSetting();
  try {
    const { caller } = await setting.newToken();
    const { registered } = setting.deps;
    const put = registered.putOnce.bind(registered);
    // A slow second attempt with the same key: meanwhile the first is answered, and its cluster renews and retires.
    registered.putOnce = async (tenantId, record) => {
      registered.putOnce = put;
      expect((await setting.register(caller, 'overtaken', first)).status).toBe(201);
      const cluster = new RenewingCluster(setting, tenantId, record.clusterId, record.certificate);
      const { fingerprint } = await cluster.renewed(first, second);
      await cluster.connect(fingerprint);
      expect((await cluster.retire(cluster.fingerprint)).status).toBe(204);
      return put(tenantId, record);
    };
    const answer = await setting.register(caller, 'overtaken', first);
    expect(answer.status).toBe(201);
    const { clusterId } = answer.json() as { clusterId: string };
    const record = await setting.deps.clusters.find(tenantA, clusterId);
    expect(await setting.deps.identities.findCredential(record?.tokenHash ?? '')).toBeDefined();
    expect(await valid(setting)).toEqual([record?.fingerprint]);
  } finally {
    await setting.engine.close();
  }
});
