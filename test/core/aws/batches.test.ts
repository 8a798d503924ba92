import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { getAll, writeAll } from '../../../core/aws/batches.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

type Requests = Record<string, unknown[] | { Keys: unknown[] }>;
type Call = { input: { RequestItems: Requests } };

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

const itemsOf = (pk: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({ pk, sk: String(index).padStart(4, '0'), index }));
const keysOf = (items: readonly { pk: string; sk: string }[]) => items.map(({ pk, sk }) => ({ pk, sk }));
const putsOf = (items: readonly Record<string, unknown>[]) => items.map((Item) => ({ PutRequest: { Item } }));

/** The engine, but of each batch it does no more than so many requests and leaves the rest undone, as DynamoDB may. */
function sparing(done: (batch: number) => number): { dynamo: DynamoDBDocumentClient; sizes: number[] } {
  const sizes: number[] = [];
  const send = async (command: Call) => {
    const [[table, asked]] = Object.entries(command.input.RequestItems) as [[string, Requests[string]]];
    const requests = Array.isArray(asked) ? asked : asked.Keys;
    const now = requests.slice(0, done(sizes.push(requests.length)));
    const left = requests.slice(now.length);
    const rest = left.length > 0 ? { [table]: Array.isArray(asked) ? left : { Keys: left } } : {};
    if (now.length === 0) return { UnprocessedKeys: rest, UnprocessedItems: rest };
    command.input.RequestItems = { [table]: Array.isArray(asked) ? now : { ...asked, Keys: now } };
    const answer = await engine.dynamo.send(command as never);
    return { ...(answer as object), UnprocessedKeys: rest, UnprocessedItems: rest };
  };
  return { dynamo: { send } as never, sizes };
}

describe('batches', () => {
  test('read and write any number of items, 100 and 25 in a call', async () => {
    const items = itemsOf('any-number', 230);
    const { dynamo, sizes } = sparing(() => Infinity);
    await writeAll(dynamo, engine.tables.tenant, putsOf(items));
    expect(sizes).toEqual([...Array.from({ length: 9 }, () => 25), 5]);
    const read = await getAll(dynamo, engine.tables.tenant, keysOf(items), { consistent: true });
    expect(read.map(({ index }) => index).sort((a, b) => Number(a) - Number(b))).toEqual(
      items.map(({ index }) => index),
    );
    expect(sizes.slice(10)).toEqual([100, 100, 30]);
  });

  test('ask for a key that is given twice once, and leave out what is not there', async () => {
    const [one, other] = itemsOf('twice', 2);
    if (!one || !other) throw new Error('no items');
    await writeAll(engine.dynamo, engine.tables.tenant, putsOf([one]));
    const keys = keysOf([one, one, other]);
    expect(await getAll(engine.dynamo, engine.tables.tenant, keys, { consistent: false })).toEqual([one]);
  });

  test('ask again for what is left undone until all is done', async () => {
    const items = itemsOf('left-undone', 25);
    const { dynamo, sizes } = sparing((batch) => (batch % 2 === 0 ? 0 : 10));
    await writeAll(dynamo, engine.tables.tenant, putsOf(items));
    expect(sizes).toEqual([25, 15, 15, 5, 5]);
    const read = await getAll(dynamo, engine.tables.tenant, keysOf(items), {
      consistent: true,
    });
    expect(read).toHaveLength(25);
  });

  test('fail when nothing is done seven times in a row', async () => {
    const { dynamo, sizes } = sparing((batch) => (batch === 1 ? 1 : 0));
    const items = itemsOf('never', 3);
    await expect(writeAll(dynamo, engine.tables.tenant, putsOf(items))).rejects.toThrow(
      'leaves 2 requests of a batch undone',
    );
    expect(sizes).toEqual([3, 2, 2, 2, 2, 2, 2, 2]);
  });

  test('delete what is there, and what is not', async () => {
    const items = itemsOf('deleted', 2);
    await writeAll(engine.dynamo, engine.tables.tenant, putsOf(items.slice(0, 1)));
    const keys = keysOf(items);
    await writeAll(
      engine.dynamo,
      engine.tables.tenant,
      keys.map((Key) => ({ DeleteRequest: { Key } })),
    );
    expect(await getAll(engine.dynamo, engine.tables.tenant, keys, { consistent: true })).toEqual([]);
  });

  (unitsAreExact ? test : test.skip)('cost twice as much when they are consistent', async () => {
    const items = itemsOf('units', 10);
    const { tenant } = engine.tables;
    expect(await engine.units(() => writeAll(engine.dynamo, tenant, putsOf(items)))).toEqual({
      read: 0,
      write: 10,
    });
    for (const [consistent, read] of [
      [true, 10],
      [false, 5],
    ] as const) {
      const work = () => getAll(engine.dynamo, tenant, keysOf(items), { consistent });
      expect(await engine.units(work)).toEqual({ read, write: 0 });
    }
  });
});
