import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { registerCluster } from '../../../functions/registration/register-cluster.ts';
import { ecPair, makeRequest } from './certificate-requests.ts';
import { facts, type Setting, startSetting, tenantA } from './setting.ts';

describe('concurrent registrations', () => {
  let setting: Setting;
  beforeEach(async () => {
    setting = await startSetting();
  });
  afterEach(() => setting.engine.close());

  const outcome = async (work: ReturnType<typeof registerCluster>): Promise<string> => {
    try {
      return JSON.stringify(await work);
    } catch (error) {
      if (error instanceof Problem) return error.code;
      throw error;
    }
  };
  const counted = (outcomes: readonly string[]): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const one of outcomes) {
      const kind = one.startsWith('{') ? 'registered' : one;
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    return counts;
  };
  const attempt = (caller: Parameters<typeof registerCluster>[1], clusterName: string, csr: string) =>
    outcome(registerCluster(setting.deps, caller, { clusterName, csr, cluster: facts }));

  test('1,000 with one token, of 40 keys and one name, make exactly one cluster', async () => {
    const { caller, tokenId } = await setting.newToken();
    const requests = Array.from({ length: 40 }, () => makeRequest(ecPair()));
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => attempt(caller, 'one', requests[index % 40] ?? '')),
    );
    expect(counted(outcomes)).toEqual({ registered: 25, TOKEN_SPENT: 975 });
    // Every attempt of the key that won got the same bytes.
    expect(new Set(outcomes).size).toBe(2);
    await exactlyOne();
    expect(await setting.deps.tokens.find(tenantA, tokenId)).toMatchObject({ refusedUses: 975 });
  }, 180_000);

  test('with one token, of many keys and as many names, make exactly one cluster and hold one name', async () => {
    const { caller } = await setting.newToken();
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, index) => attempt(caller, `name-${index}`, makeRequest(ecPair()))),
    );
    expect(counted(outcomes)).toEqual({ registered: 1, TOKEN_SPENT: 59 });
    await exactlyOne();
  });

  test('with one token and key, under many names, make exactly one cluster and hold one name', async () => {
    const { caller } = await setting.newToken();
    const csr = makeRequest(ecPair());
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, index) => attempt(caller, `name-${index}`, csr)),
    );
    const { registered = 0, CONFLICT = 0 } = counted(outcomes);
    expect(registered + CONFLICT).toBe(30);
    expect(registered).toBe(1);
    await exactlyOne();
  });

  test('with many tokens and one name make exactly one cluster, and the other tokens stay unused', async () => {
    const tokens = await Promise.all(Array.from({ length: 30 }, () => setting.newToken()));
    const outcomes = await Promise.all(
      tokens.map(({ caller }) => attempt(caller, 'wanted', makeRequest(ecPair()))),
    );
    expect(counted(outcomes)).toEqual({ registered: 1, CLUSTER_NAME_TAKEN: 29 });
    await exactlyOne();
    const again = await Promise.all(
      tokens.map(({ caller }, index) => attempt(caller, `other-${index}`, makeRequest(ecPair()))),
    );
    expect(counted(again)).toEqual({ registered: 29, TOKEN_SPENT: 1 });
  });

  test('with one token, of which the second finds the name just taken by the first, are told apart by their keys', async () => {
    const { caller } = await setting.newToken();
    const csr = makeRequest(ecPair());
    const { names } = setting.deps;
    const isFree = names.isFree.bind(names);
    let first = '';
    // The first comes in between the second's look at the token and its look at the name.
    names.isFree = async (...args) => {
      names.isFree = isFree;
      first = await attempt(caller, 'overtaken', csr);
      return isFree(...args);
    };
    expect(await attempt(caller, 'overtaken', makeRequest(ecPair()))).toBe('TOKEN_SPENT');
    expect(first).toMatch(/^\{/);
    await exactlyOne();
    const later = await setting.newToken();
    const same = makeRequest(ecPair());
    names.isFree = async (...args) => {
      names.isFree = isFree;
      first = await attempt(later.caller, 'same-key', same);
      return isFree(...args);
    };
    expect(await attempt(later.caller, 'same-key', same)).toBe(first);
  });

  /** One cluster, one kept name, one answer, one certificate and one cluster credential. */
  async function exactlyOne(): Promise<void> {
    const { tenant = [], directory = [], identities = [] } = await setting.dump();
    const ofCollection = (name: string) => tenant.filter(({ pk }) => pk === `TENANT#${tenantA}#${name}`);
    const [cluster, ...others] = ofCollection('CLUSTERS');
    expect(others).toEqual([]);
    expect(ofCollection('CLUSTER_NAMES')).toEqual([
      { pk: `TENANT#${tenantA}#CLUSTER_NAMES`, sk: cluster?.clusterName, clusterId: cluster?.clusterId },
    ]);
    expect(ofCollection('REGISTRATIONS').map(({ sk }) => sk)).toEqual([cluster?.clusterId]);
    expect(directory.filter(({ sk }) => sk === 'CERTIFICATE').map(({ pk }) => pk)).toEqual([
      `CERT#${String(cluster?.fingerprint)}`,
    ]);
    expect(identities.filter(({ kind }) => kind === 'cluster')).toHaveLength(1);
  }
});
