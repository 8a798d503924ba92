import {
  BatchWriteItemCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EndpointUnderTest, tableArn } from '../endpoint-fixture.ts';

let under: EndpointUnderTest;
let client: DynamoDBClient;
let now = Date.UTC(2026, 10, 23);

beforeAll(async () => {
  under = await EndpointUnderTest.start({ now: () => now });
  client = under.dynamodb(under.endpoint.operator);
});
afterAll(() => under.stop());

const key = (pk: string, sk = '1') => ({ pk: { S: pk }, sk: { S: sk } });
const get = async (pk: string, sk = '1') =>
  (await client.send(new GetItemCommand({ TableName: 'tenants', Key: key(pk, sk), ConsistentRead: true })))
    .Item;

test('the table is there, active, with the index and the expiry attribute of the template', async () => {
  const { Table } = await client.send(new DescribeTableCommand({ TableName: 'tenants' }));
  expect(Table).toMatchObject({ TableStatus: 'ACTIVE', TableArn: tableArn });
  expect(Table?.GlobalSecondaryIndexes).toMatchObject([{ IndexName: 'by-index', IndexStatus: 'ACTIVE' }]);
  const { TimeToLiveDescription } = await client.send(
    new DescribeTimeToLiveCommand({ TableName: 'tenants' }),
  );
  expect(TimeToLiveDescription).toEqual({ TimeToLiveStatus: 'ENABLED', AttributeName: 'expiresAt' });
});

test('a table may be named by its ARN', async () => {
  await client.send(new PutItemCommand({ TableName: tableArn, Item: key('by-arn') }));
  expect(await get('by-arn')).toEqual(key('by-arn'));
});

test('a failed condition is ConditionalCheckFailedException, and carries the item when asked to', async () => {
  const Item = { ...key('once'), v: { N: '1' } };
  const put = (more: object = {}) =>
    client.send(
      new PutItemCommand({
        TableName: 'tenants',
        Item,
        ConditionExpression: 'attribute_not_exists(pk)',
        ...more,
      }),
    );
  await put();
  await expect(put()).rejects.toMatchObject({ name: 'ConditionalCheckFailedException', Item: undefined });
  const ReturnValuesOnConditionCheckFailure = 'ALL_OLD';
  await expect(put({ ReturnValuesOnConditionCheckFailure })).rejects.toMatchObject({ Item });
  const changed = {
    TableName: 'tenants',
    Key: key('once'),
    ConditionExpression: 'v = :two',
    ExpressionAttributeValues: { ':two': { N: '2' } },
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
  } as const;
  const update = new UpdateItemCommand({ ...changed, UpdateExpression: 'SET v = :two' });
  await expect(client.send(update)).rejects.toMatchObject({ Item });
  await expect(client.send(new DeleteItemCommand(changed))).rejects.toMatchObject({ Item });
});

test('of many conditional creations at once exactly one wins', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, n) =>
      client.send(
        new PutItemCommand({
          TableName: 'tenants',
          Item: { ...key('race'), winner: { N: String(n) } },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      ),
    ),
  );
  expect(results.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
});

test('an index follows its items: written, moved, deleted, and in batches', async () => {
  const indexed = async (value: string) =>
    (
      await client.send(
        new QueryCommand({
          TableName: 'tenants',
          IndexName: 'by-index',
          KeyConditionExpression: 'gsiKey = :v',
          ExpressionAttributeValues: { ':v': { S: value } },
        }),
      )
    ).Items?.map((one) => one.sk?.S).sort();
  const item = (sk: string, value: string) => ({ ...key('moved', sk), gsiKey: { S: value } });
  const RequestItems = {
    tenants: ['1', '2', '3', '4'].map((sk) => ({ PutRequest: { Item: item(sk, 'old') } })),
  };
  await client.send(new BatchWriteItemCommand({ RequestItems }));
  expect(await indexed('old')).toEqual(['1', '2', '3', '4']);
  await client.send(new PutItemCommand({ TableName: 'tenants', Item: item('1', 'new') }));
  await client.send(new DeleteItemCommand({ TableName: 'tenants', Key: key('moved', '2') }));
  await client.send(
    new UpdateItemCommand({
      TableName: 'tenants',
      Key: key('moved', '3'),
      UpdateExpression: 'REMOVE gsiKey',
    }),
  );
  await client.send(
    new BatchWriteItemCommand({ RequestItems: { tenants: [{ DeleteRequest: { Key: key('moved', '4') } }] } }),
  );
  expect(await indexed('old')).toEqual([]);
  expect(await indexed('new')).toEqual(['1']);
});

test('expired items are deleted by the sweep, and no others', async () => {
  const seconds = Math.floor(now / 1000);
  const put = (pk: string, expiresAt: object) =>
    client.send(
      new PutItemCommand({
        TableName: 'tenants',
        Item: { ...key(pk), gsiKey: { S: 'ttl' }, expiresAt } as never,
      }),
    );
  await put('soon', { N: String(seconds + 60) });
  await put('later', { N: String(seconds + 600) });
  await put('text', { S: String(seconds - 60) });
  await put('six-years-ago', { N: String(seconds - 6 * 365 * 86_400) });
  expect(await under.endpoint.deleteExpiredItems()).toBe(0);
  now += 61_000;
  expect(await under.endpoint.deleteExpiredItems()).toBe(1);
  expect(await get('soon')).toBeUndefined();
  for (const pk of ['later', 'text', 'six-years-ago']) expect(await get(pk)).toBeDefined();
});

test("bad input is answered with DynamoDB's own errors", async () => {
  const missing = new GetItemCommand({ TableName: 'nothing', Key: key('a') });
  await expect(client.send(missing)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  const halfKey = new GetItemCommand({ TableName: 'tenants', Key: { pk: { S: 'a' } } });
  await expect(client.send(halfKey)).rejects.toMatchObject({
    name: 'ValidationException',
    $metadata: { httpStatusCode: 400 },
  });
  const answer = await fetch(under.endpoint.url, {
    method: 'POST',
    headers: { 'x-amz-target': 'DynamoDB_20120810.GetItem' },
    body: '{',
  });
  expect(answer.status).toBe(400);
  expect(answer.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/);
  expect(await answer.json()).toMatchObject({
    __type: 'com.amazonaws.dynamodb.v20120810#MissingAuthenticationTokenException',
  });
});

test('transactions are refused as not served rather than half done', async () => {
  const transact = new TransactWriteItemsCommand({
    TransactItems: [{ Put: { TableName: 'tenants', Item: key('tx') } }],
  });
  await expect(client.send(transact)).rejects.toMatchObject({ name: 'UnknownOperationException' });
  expect(await get('tx')).toBeUndefined();
});
