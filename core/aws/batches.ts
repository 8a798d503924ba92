import { setTimeout as pause } from 'node:timers/promises';
import {
  BatchGetCommand,
  BatchWriteCommand,
  type BatchWriteCommandInput,
  type DynamoDBDocumentClient,
} from '@aws-sdk/lib-dynamodb';

export type ItemKey = { readonly pk: string; readonly sk: string };
export type Item = Readonly<Record<string, unknown>>;
/** A put or a deletion as DynamoDB's batches have them. */
export type BatchedWrite = NonNullable<NonNullable<BatchWriteCommandInput['RequestItems']>[string]>[number];

/** DynamoDB's limits of one batch. */
const [readsOfABatch, writesOfABatch] = [100, 25];
/** Batches under way at a time. */
const atOnce = 4;
/** What a batch leaves over is asked again after 25, 50, … 1,600 ms, at most so often in a row without any progress. */
const pauses = { firstMs: 25, most: 6 } as const;

/**
 * Reads items by their keys, in no order; those that are not there are absent. 100 keys are one call, more are several.
 * What DynamoDB leaves unprocessed (16 MB of an answer, or a throttled partition) is asked again, with growing pauses:
 * after the seventh answer in a row that brought nothing it is an error (some 3 s). Units: half a read per 4 KB of each item, twice that when consistent.
 */
export async function getAll(
  dynamo: DynamoDBDocumentClient,
  table: string,
  keys: readonly ItemKey[],
  { consistent }: { readonly consistent: boolean },
): Promise<Item[]> {
  const different = [...new Map(keys.map((key) => [`${key.pk}\n${key.sk}`, key])).values()];
  const items: Item[] = [];
  await several(chunks<Record<string, unknown>>(different, readsOfABatch), (chunk) =>
    untilDone(chunk, async (pending) => {
      const { Responses, UnprocessedKeys } = await dynamo.send(
        new BatchGetCommand({
          RequestItems: { [table]: { Keys: [...pending], ConsistentRead: consistent } },
        }),
      );
      items.push(...(Responses?.[table] ?? []));
      return UnprocessedKeys?.[table]?.Keys ?? [];
    }),
  );
  return items;
}

/** Puts and deletes items, each by itself and without conditions; left over ones as `getAll` does. Units: 1 write per KB of each. */
export async function writeAll(
  dynamo: DynamoDBDocumentClient,
  table: string,
  writes: readonly BatchedWrite[],
): Promise<void> {
  await several(chunks(writes, writesOfABatch), (chunk) =>
    untilDone(chunk, async (pending) => {
      const { UnprocessedItems } = await dynamo.send(
        new BatchWriteCommand({ RequestItems: { [table]: [...pending] } }),
      );
      return UnprocessedItems?.[table] ?? [];
    }),
  );
}

async function untilDone<Request>(
  requests: readonly Request[],
  send: (pending: readonly Request[]) => Promise<readonly Request[]>,
): Promise<void> {
  let pending = requests;
  for (let fruitless = 0; pending.length > 0;) {
    const left = await send(pending);
    fruitless = left.length < pending.length ? 0 : fruitless + 1;
    if (fruitless > pauses.most) throw new Error(`DynamoDB leaves ${left.length} requests of a batch undone`);
    pending = left;
    // Not all at the same moment again: half of it is chance.
    if (left.length > 0) await pause(pauses.firstMs * 2 ** fruitless * (0.5 + Math.random() / 2));
  }
}

async function several<Chunk>(all: readonly Chunk[], work: (chunk: Chunk) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += atOnce) await Promise.all(all.slice(at, at + atOnce).map(work));
}

function chunks<Element>(all: readonly Element[], size: number): (readonly Element[])[] {
  const parts: (readonly Element[])[] = [];
  for (let at = 0; at < all.length; at += size) parts.push(all.slice(at, at + size));
  return parts;
}
