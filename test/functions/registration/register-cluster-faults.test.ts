import { describe, expect, test } from '@jest/globals';
import { disconnectCluster } from '../../../functions/registration/disconnect-cluster.ts';
import { member } from '../api-call.ts';
import { ecPair } from './certificate-requests.ts';
import { type Setting, startSetting, tenantA } from './setting.ts';

const pair = ecPair();

async function inSetting<T>(work: (setting: Setting) => Promise<T>): Promise<T> {
  const setting = await startSetting();
  try {
    return await work(setting);
  } finally {
    await setting.engine.close();
  }
}

/** A dump without what a signature makes different from one run to the next. */
const settled = (dump: unknown): unknown =>
  JSON.parse(
    JSON.stringify(dump)
      .replace(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g, 'CERTIFICATE')
      .replace(/CERT#[0-9a-f]{64}/g, 'CERT#…')
      .replace(/"fingerprint":"[0-9a-f]{64}"/g, '"fingerprint":"…"'),
  );

/** How many writes one registration makes, and what the tables hold after it. */
async function undisturbed(): Promise<{ writes: number; dump: unknown }> {
  return inSetting(async (setting) => {
    const { caller } = await setting.newToken();
    setting.engine.faults.dieAfterWrite(Infinity);
    expect((await setting.register(caller, 'crashing', pair)).status).toBe(201);
    const writes = setting.engine.faults.mend();
    return { writes, dump: settled(await setting.dump()) };
  });
}

describe('a registration whose process dies', () => {
  test('after any write is completed by asking again: the tables are as if nothing had happened', async () => {
    const { writes, dump } = await undisturbed();
    expect(writes).toBe(9);
    for (let nth = 1; nth <= writes; nth += 1) {
      await inSetting(async (setting) => {
        const { caller } = await setting.newToken();
        setting.engine.faults.dieAfterWrite(nth);
        const died = await setting.register(caller, 'crashing', pair);
        setting.engine.faults.mend();
        expect([nth, died.status, died.json().code]).toEqual([nth, 500, 'INTERNAL']);

        const again = await setting.register(caller, 'crashing', pair);
        expect([nth, again.status]).toEqual([nth, 201]);
        expect(settled(await setting.dump())).toEqual(dump);
        const third = await setting.register(caller, 'crashing', pair);
        expect([nth, third.text]).toEqual([nth, again.text]);
      });
    }
  });

  test('after any write keeps every other key out, though no cluster came of it yet', async () => {
    const { writes } = await undisturbed();
    for (let nth = 1; nth <= writes; nth += 1) {
      await inSetting(async (setting) => {
        const { caller } = await setting.newToken();
        setting.engine.faults.dieAfterWrite(nth);
        await setting.register(caller, 'crashing', pair);
        setting.engine.faults.mend();
        const other = await setting.register(caller, 'crashing', ecPair());
        expect([nth, other.json().code]).toEqual([nth, 'TOKEN_SPENT']);
      });
    }
  });

  test('before its certificate is issued may be taken up under another name, and the first name is free again', async () => {
    for (const nth of [1, 2]) {
      await inSetting(async (setting) => {
        const { caller } = await setting.newToken();
        setting.engine.faults.dieAfterWrite(nth);
        await setting.register(caller, 'abandoned', pair);
        setting.engine.faults.mend();
        const renamed = await setting.register(caller, 'renamed', pair);
        expect([nth, renamed.status]).toEqual([nth, 201]);
        await setting.connect('abandoned');
        const list = await setting.deps.registered.list(tenantA, { limit: 50 });
        expect(list.items.map(({ clusterName }) => clusterName).sort()).toEqual(['abandoned', 'renamed']);
      });
    }
  });

  test('and that nobody completes holds its name no longer than its token lives', async () => {
    await inSetting(async (setting) => {
      const { caller } = await setting.newToken({ ttlSeconds: 600 });
      setting.engine.faults.dieAfterWrite(2);
      await setting.register(caller, 'abandoned', pair);
      setting.engine.faults.mend();
      const early = await setting.newToken();
      expect((await setting.register(early.caller, 'abandoned', ecPair())).json().code).toBe(
        'CLUSTER_NAME_TAKEN',
      );
      setting.clock.now += 600_000 + 121_000;
      expect((await setting.register(early.caller, 'abandoned', ecPair())).status).toBe(201);
    });
  });

  test('after its cluster is listed can be disconnected, and is not completed after that', async () => {
    const { writes } = await undisturbed();
    for (let nth = 5; nth <= writes; nth += 1) {
      await inSetting(async (setting) => {
        const { caller } = await setting.newToken();
        setting.engine.faults.dieAfterWrite(nth);
        await setting.register(caller, 'crashing', pair);
        setting.engine.faults.mend();
        const { items } = await setting.deps.registered.list(tenantA, { limit: 50 });
        const clusterId = items[0]?.clusterId ?? '';
        const gone = await setting.call({
          method: 'DELETE',
          path: `/v1/clusters/${clusterId}`,
          resource: '/v1/clusters/{clusterId}',
          params: { clusterId },
          caller: { ...caller, scopes: new Set(['clusters:disconnect']) },
        });
        expect([nth, gone.status]).toEqual([nth, 204]);
        const again = await setting.register(caller, 'crashing', pair);
        expect([nth, again.json().code]).toEqual([nth, 'TOKEN_SPENT']);
        expect(await setting.deps.identities.findCredential(items[0]?.tokenHash ?? '')).toBeUndefined();
        expect((await setting.connect('crashing')).clusterName).toBe('crashing');
      });
    }
  });
});

test('a registration that the signing key fails is completed once it answers', async () => {
  await inSetting(async (setting) => {
    const { caller } = await setting.newToken();
    setting.signer.broken = true;
    expect((await setting.register(caller, 'unsigned', pair)).status).toBe(500);
    setting.signer.broken = false;
    expect((await setting.register(caller, 'unsigned', pair)).status).toBe(201);
  });
});

/** Disconnects the cluster right after its credential was written, then writes the credential once more, as a slower attempt would. */
function disconnectInBetween(setting: Setting, disconnect: (clusterId: string) => Promise<void>): void {
  const { identities } = setting.deps;
  const put = identities.putCredential.bind(identities);
  identities.putCredential = async (record) => {
    identities.putCredential = put;
    await put(record);
    await disconnect(record.clusterId ?? '');
    await put(record);
  };
}

const clusterCredentials = async (setting: Setting) =>
  (await setting.dump()).identities?.filter(({ kind }) => kind === 'cluster');

test('a cluster that is disconnected while its registration is being completed leaves nothing that lets it in', async () => {
  await inSetting(async (setting) => {
    const { caller } = await setting.newToken();
    disconnectInBetween(setting, (clusterId) => disconnectCluster(setting.deps, member(tenantA), clusterId));
    const answer = await setting.register(caller, 'racing', pair);
    expect(answer.json().code).toBe('TOKEN_SPENT');
    expect(await clusterCredentials(setting)).toEqual([]);
    const { directory, tenant } = await setting.dump();
    expect(directory?.filter(({ sk, revokedAt }) => sk === 'CERTIFICATE' && !revokedAt)).toEqual([]);
    expect(tenant?.map(({ pk }) => String(pk).split('#')[2]).sort()).toEqual([
      'CLUSTERS',
      'REGISTRATION_TOKENS',
    ]);
    expect((await setting.deps.registered.list(tenantA, { limit: 50 })).items).toEqual([]);
  });
});

test.each([5, 6, 7])('nor does one whose disconnection died after its write %i', async (nth) => {
  await inSetting(async (setting) => {
    const { caller } = await setting.newToken();
    disconnectInBetween(setting, async (clusterId) => {
      setting.engine.faults.dieAfterWrite(nth);
      const gone = disconnectCluster(setting.deps, member(tenantA), clusterId);
      await expect(gone).rejects.toThrow('was lost');
      setting.engine.faults.mend();
    });
    expect((await setting.register(caller, 'racing', pair)).json().code).toBe('TOKEN_SPENT');
    expect(await clusterCredentials(setting)).toEqual([]);
  });
});
