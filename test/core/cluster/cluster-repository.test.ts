import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { clusterKey, ClusterRepository } from '../../../core/cluster/cluster-repository.ts';
import { clusterNamePattern } from '../../../core/cluster/cluster-schema.ts';
import { type Engine, startEngine } from '../../engine.ts';

const tenantA = 't-aaaaaaaaaaaaaaaaaaaa';
const tenantB = 't-bbbbbbbbbbbbbbbbbbbb';
const clusterId = 'c-aaaaaaaaaaaaaaaaaaaa';

describe('clusters', () => {
  let engine: Engine;
  let clusters: ClusterRepository;
  const record = {
    clusterId,
    clusterName: 'one',
    registeredAt: 1,
    facts: { kubernetesVersion: 'v1', calicoVersion: 'v3', distribution: 'd', nodeCount: 0 },
    certificate: 'PEM',
    fingerprint: 'f',
    notAfter: 2,
    tokenHash: 'h',
  };
  const put = (tenantId: string, item: object) =>
    engine.dynamo.send(
      new PutCommand({
        TableName: engine.tables.tenant,
        Item: { ...clusterKey(tenantId, clusterId), ...item },
      }),
    );
  beforeAll(async () => {
    engine = await startEngine();
    clusters = new ClusterRepository(engine.access, engine.tables.tenant);
    await put(tenantA, record);
  });
  afterAll(() => engine.close());

  test('are found by their tenant, without the keys of the table, for 1 unit', async () => {
    const units = await engine.units(async () => {
      expect(await clusters.find(tenantA, clusterId)).toEqual(record);
    });
    expect(units).toEqual({ read: 1, write: 0 });
  });

  test('of another tenant, absent or disconnected are the same nothing', async () => {
    expect(await clusters.find(tenantB, clusterId)).toBeUndefined();
    expect(await clusters.find(tenantA, 'c-bbbbbbbbbbbbbbbbbbbb')).toBeUndefined();
    await put(tenantB, { clusterId, disconnectedAt: 3, expiresAt: 4 });
    expect(await clusters.find(tenantB, clusterId)).toBeUndefined();
  });

  test('are asked for with their tenant’s clients only', async () => {
    const asked: string[] = [];
    const watched = new ClusterRepository((tenantId) => {
      asked.push(tenantId);
      return engine.access(tenantId);
    }, engine.tables.tenant);
    await watched.find(tenantB, clusterId);
    expect(asked).toEqual([tenantB]);
  });

  test.each([
    ['a', true],
    ['0-.', true],
    ['a'.repeat(63), true],
    ['a'.repeat(64), false],
    ['', false],
    ['A', false],
    ['a\n', false],
    ['a b', false],
  ])('named %j: %s', (name, good) => {
    expect(clusterNamePattern.test(name)).toBe(good);
  });
});
