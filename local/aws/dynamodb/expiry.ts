import { AwsError } from '../aws-error.ts';
import type { TableSpec } from '../specs.ts';
import type { TableEngine } from './engine.ts';
import type { Item } from './engine-types.ts';

/** DynamoDB leaves items alone whose expiry is more than five years past: they are taken for a mistake of units. */
const tooOldSeconds = 5 * 365 * 86_400;

/**
 * Deletes the items whose TTL attribute (epoch seconds, a number) has passed; returns how many. Each deletion is conditional on
 * the same expiry, so an item that was renewed meanwhile stays.
 */
export async function deleteExpired(
  engine: TableEngine,
  specs: readonly TableSpec[],
  nowMs: number,
): Promise<number> {
  const seconds = Math.floor(nowMs / 1000);
  let deleted = 0;
  for (const { name, keySchema, ttlAttribute } of specs) {
    if (ttlAttribute === undefined) continue;
    const expired: { key: Item; at: string }[] = [];
    for await (const item of engine.items(name)) {
      const at = item[ttlAttribute]?.N;
      if (typeof at !== 'string' || Number(at) >= seconds || Number(at) < seconds - tooOldSeconds) continue;
      const key = Object.fromEntries(
        keySchema.map(({ attributeName }) => [attributeName, item[attributeName] ?? {}]),
      );
      expired.push({ key, at });
    }
    for (const { key, at } of expired) {
      const data = engine.validate('DeleteItem', {
        TableName: name,
        Key: key,
        ConditionExpression: '#ttl = :at',
        ExpressionAttributeNames: { '#ttl': ttlAttribute },
        ExpressionAttributeValues: { ':at': { N: at } },
      });
      try {
        await engine.run('DeleteItem', data);
        deleted += 1;
      } catch (error) {
        if (!(error instanceof AwsError) || error.code !== 'ConditionalCheckFailedException') throw error;
      }
    }
  }
  return deleted;
}
