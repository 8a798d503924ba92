import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { tenantList } from '../../../core/tenant/tenant-list.ts';
import { tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';
const collection = 'CLUSTERS';

describe('a page of a tenant’s collection', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    // Two that are shown, then many that are left out, then one that is shown.
    const shown = new Set([0, 1, 59]);
    for (let at = 0; at < 60; at += 1) {
      const Item = { pk: tenantPartition(tenantId, collection), sk: `c-${String(at).padStart(3, '0')}` };
      await engine.dynamo.send(
        new PutCommand({ TableName: engine.tables.tenant, Item: { ...Item, shown: shown.has(at) } }),
      );
    }
  });
  afterAll(() => engine.close());

  const list = (limit: number, cursor?: string) =>
    tenantList({
      dynamo: engine.dynamo,
      table: engine.tables.tenant,
      tenantId,
      collection,
      query: { limit, cursor },
      entryOf: ({ shown, sk }) => (shown === true ? (sk as string) : undefined),
    });

  test('is not shortened by what is left out, and has a cursor only while something follows', async () => {
    const first = await list(2);
    expect(first.items).toEqual(['c-000', 'c-001']);
    const second = await list(2, first.nextCursor);
    expect(second).toEqual({ items: ['c-059'] });
    expect(await list(3)).toEqual({ items: ['c-000', 'c-001', 'c-059'] });
  });

  (unitsAreExact ? test : test.skip)('does not walk through what is left out one by one', async () => {
    // 60 small items, 10 at a time: not one read for each of them.
    const { read } = await engine.units(() => list(9));
    expect(read).toBeLessThanOrEqual(7);
    const { read: again } = await engine.units(() => list(2));
    expect(again).toBeLessThanOrEqual(20);
  });
});
