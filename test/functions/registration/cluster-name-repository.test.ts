import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ClusterNameRepository } from '../../../functions/registration/cluster-name-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';

const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';
const now = 1_000_000;
const until = 2_000;

describe('the name of a cluster', () => {
  let engine: Engine;
  let names: ClusterNameRepository;
  beforeAll(async () => {
    engine = await startEngine();
    names = new ClusterNameRepository(engine.access, engine.tables.tenant);
  });
  afterAll(() => engine.close());
  const of = (clusterName: string, clusterId: string) => ({ tenantId, clusterName, clusterId });

  test('is reserved by one cluster, again by the same, and by none other until it lapses', async () => {
    expect(await names.reserve(of('a', 'c-1'), until, now)).toBe(true);
    expect(await names.reserve(of('a', 'c-1'), until, now)).toBe(true);
    expect(await names.reserve(of('a', 'c-2'), until, now)).toBe(false);
    expect([await names.isFree(tenantId, 'a', now), await names.isFree(tenantId, 'b', now)]).toEqual([
      false,
      true,
    ]);
    const later = until * 1000 + 1_000;
    expect(await names.isFree(tenantId, 'a', later)).toBe(true);
    expect(await names.reserve(of('a', 'c-2'), until * 2, later)).toBe(true);
    expect(await names.keep(of('a', 'c-1'))).toBe(false);
  });

  test('once kept never lapses, though a slower attempt of its own cluster reserves it once more', async () => {
    await names.reserve(of('kept', 'c-1'), until, now);
    expect(await names.keep(of('kept', 'c-1'))).toBe(true);
    expect(await names.reserve(of('kept', 'c-1'), until, now)).toBe(true);
    expect(await names.isFree(tenantId, 'kept', until * 1000_000)).toBe(false);
    expect(await names.reserve(of('kept', 'c-2'), until * 2_000, until * 1000_000)).toBe(false);
  });

  test('is given back by its own cluster only', async () => {
    await names.reserve(of('freed', 'c-1'), until, now);
    await names.free(of('freed', 'c-2'));
    expect(await names.isFree(tenantId, 'freed', now)).toBe(false);
    await names.free(of('freed', 'c-1'));
    await names.free(of('freed', 'c-1'));
    expect(await names.isFree(tenantId, 'freed', now)).toBe(true);
  });
});
