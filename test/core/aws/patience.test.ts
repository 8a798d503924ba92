import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { patience } from '../../../core/aws/patience.ts';
import { documentClient } from '../../../core/tenant/tenant-access.ts';

const held = new Set<Socket>();
const silent = createServer((socket) => held.add(socket.on('error', () => undefined)));
beforeEach(async () => {
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
});
afterEach(() => {
  for (const socket of held) socket.destroy();
  silent.close();
});

test('a network that swallows the question ends it, and its connection with it', async () => {
  const client = new DynamoDBClient({
    endpoint: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'A', secretAccessKey: 'b' },
    maxAttempts: 1,
    requestHandler: { ...patience.answers, requestTimeout: 50 },
  });
  const question = client.send(new GetItemCommand({ TableName: 'x', Key: { pk: { S: 'y' } } }));
  await expect(question).rejects.toMatchObject({ name: 'TimeoutError' });
  const [socket] = held;
  if (socket && !socket.destroyed) await once(socket.resume(), 'close');
  expect(held.size).toBe(1);
});

test('the clients of our repositories ask with these bounds', async () => {
  const client = documentClient();
  const handler = client.config.requestHandler as unknown as { configProvider: Promise<unknown> };
  expect(await handler.configProvider).toMatchObject(patience.answers);
});
