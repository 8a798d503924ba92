import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KMSClient } from '@aws-sdk/client-kms';
import { parseToken } from '../../../core/credential/token.ts';
import { kmsClusterTokens } from '../../../functions/registration/cluster-token.ts';

let server: Server;
let kms: KMSClient;
const asked: Record<string, string>[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const input = JSON.parse(body) as Record<string, string>;
      asked.push({ operation: String(request.headers['x-amz-target']), ...input });
      const mac = createHmac('sha256', `secret of ${input.KeyId ?? ''}`).update(
        Buffer.from(input.Message ?? '', 'base64'),
      );
      response
        .writeHead(200, { 'Content-Type': 'application/x-amz-json-1.1' })
        .end(JSON.stringify({ Mac: mac.digest('base64') }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  kms = new KMSClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
  });
});
afterAll(async () => {
  kms.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('a cluster’s token is derived by the KMS key: the same each time, another for each cluster and key', async () => {
  const tokens = kmsClusterTokens('key-1', kms);
  const one = await tokens('c-one');
  expect(await tokens('c-one')).toEqual(one);
  expect(parseToken(one.text)).toEqual(one);
  expect(one.kind).toBe('cluster');
  const others = [await tokens('c-two'), await kmsClusterTokens('key-2', kms)('c-one')];
  for (const other of others) expect(other.hash).not.toBe(one.hash);
  expect(asked[0]).toMatchObject({
    operation: 'TrentService.GenerateMac',
    KeyId: 'key-1',
    MacAlgorithm: 'HMAC_SHA_256',
    Message: Buffer.from('cluster-token\nc-one').toString('base64'),
  });
});
