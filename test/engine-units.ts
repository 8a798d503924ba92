import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';

/** DynamoDB capacity units: what AWS bills on demand. */
export type Units = { readonly read: number; readonly write: number };

type Capacity = { readonly CapacityUnits?: number };

/** Names of operations that change a table. */
export const isWrite = (operation: string): boolean => /^(?:Put|Update|Delete|BatchWrite)/.test(operation);

/**
 * Counts what all calls through the client consume while `work` runs, by asking for it with each call. A write whose
 * condition does not hold is billed like one that does, but its error does not say how much: it counts as 1.
 */
export async function countUnits(client: DynamoDBClient, work: () => Promise<unknown>): Promise<Units> {
  let [read, write] = [0, 0];
  const name = 'countUnits';
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const operation = (context.commandName ?? '').replace(/Command$/, '');
      const writes = isWrite(operation);
      try {
        const result = await next({
          ...args,
          input: { ...args.input, ReturnConsumedCapacity: 'TOTAL' },
        });
        const { ConsumedCapacity } = result.output as { ConsumedCapacity?: Capacity | readonly Capacity[] };
        const consumed = [ConsumedCapacity ?? []].flat() as readonly Capacity[];
        const units = consumed.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
        if (writes) write += units;
        else read += units;
        return result;
      } catch (error) {
        if (writes && error instanceof Error && error.name === 'ConditionalCheckFailedException') write += 1;
        throw error;
      }
    },
    { step: 'initialize', name, priority: 'low' },
  );
  try {
    await work();
  } finally {
    client.middlewareStack.remove(name);
  }
  return { read, write };
}
