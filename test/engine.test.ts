import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { type Engine, startEngine } from './engine.ts';
import { InjectedFault } from './engine-faults.ts';

describe('the engine of repository tests', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  const key = { pk: 'a', sk: 'b' };
  const put = (value: string) =>
    engine.dynamo.send(new PutCommand({ TableName: engine.tables.tenant, Item: { ...key, value } }));
  const get = async () =>
    (
      await engine.dynamo.send(
        new GetCommand({ TableName: engine.tables.tenant, Key: key, ConsistentRead: true }),
      )
    ).Item;

  test('keeps items and objects', async () => {
    await put('one');
    expect(await get()).toEqual({ ...key, value: 'one' });
    await engine.s3.send(new PutObjectCommand({ Bucket: engine.buckets.log, Key: 'x/y', Body: 'body' }));
    const { Body } = await engine.s3.send(new GetObjectCommand({ Bucket: engine.buckets.log, Key: 'x/y' }));
    expect(await Body?.transformToString()).toBe('body');
  });

  test('counts the units of reads and writes, those of a refused condition too', async () => {
    const refused = () =>
      engine.dynamo
        .send(
          new UpdateCommand({
            TableName: engine.tables.tenant,
            Key: key,
            UpdateExpression: 'SET v = :v',
            ConditionExpression: 'attribute_not_exists(pk)',
            ExpressionAttributeValues: { ':v': 1 },
          }),
        )
        .catch(() => undefined);
    expect(
      await engine.units(async () => {
        await put('two');
        await get();
        await refused();
      }),
    ).toEqual({ read: 1, write: 2 });
  });

  test('dies after the nth write, which is done, and lets nothing out until it is mended', async () => {
    engine.faults.dieAfterWrite(1);
    await expect(put('three')).rejects.toThrow(InjectedFault);
    await expect(get()).rejects.toThrow(InjectedFault);
    expect(engine.faults.mend()).toBe(1);
    expect(await get()).toEqual({ ...key, value: 'three' });
  });
});
