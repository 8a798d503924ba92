import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { GenerateMacCommand, GetPublicKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { startAwsEndpoint } from '../../../local/aws/endpoint.ts';
import {
  emptySecretArn,
  endpointOptions,
  macKeyArn,
  region,
  signKeyArn,
  temporaryDir,
} from './endpoint-fixture.ts';

const program = fileURLToPath(new URL('./endpoint-process.ts', import.meta.url));
let dataDir = '';
let children: ChildProcess[] = [];
let clients: { destroy(): void }[] = [];

beforeEach(async () => {
  dataDir = await temporaryDir();
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  for (const child of children.filter((one) => one.exitCode === null && one.signalCode === null)) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  children = [];
  clients = [];
  await rm(dataDir, { recursive: true, force: true });
});

async function start() {
  const child = spawn(process.execPath, [program, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { url, operator } = JSON.parse(line) as {
    url: string;
    operator: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  };
  const config = { endpoint: url, region, credentials: operator, maxAttempts: 1 };
  const made = {
    dynamodb: new DynamoDBClient(config),
    s3: new S3Client(config),
    kms: new KMSClient(config),
    secrets: new SecretsManagerClient(config),
  };
  clients.push(...Object.values(made));
  return {
    ...made,
    kill: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

const item = (round: number) => ({
  pk: { S: 'KILL' },
  sk: { S: String(round) },
  gsiKey: { S: 'ALL' },
  round: { N: String(round) },
});

test('keeps everything it has acknowledged when it is killed with SIGKILL in the middle of writes', async () => {
  const first = await start();
  const publicKey = await first.kms.send(new GetPublicKeyCommand({ KeyId: signKeyArn }));
  const mac = () =>
    new GenerateMacCommand({ KeyId: macKeyArn, MacAlgorithm: 'HMAC_SHA_256', Message: Buffer.from('m') });
  const firstMac = (await first.kms.send(mac())).Mac;

  const acknowledged = { items: 0, objects: 0, overwritten: 0, secrets: 0 };
  let enough = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const until = async (write: (round: number) => Promise<unknown>, count: keyof typeof acknowledged) => {
    for (let round = 1; ; round += 1) {
      try {
        await write(round);
      } catch {
        return; // The process is gone.
      }
      acknowledged[count] = round;
      if (Object.values(acknowledged).every((rounds) => rounds >= 15)) enough();
    }
  };
  const body = (round: number) => Buffer.alloc(100_000 + round, round % 251);
  const writers = [
    until(
      (round) => first.dynamodb.send(new PutItemCommand({ TableName: 'tenants', Item: item(round) })),
      'items',
    ),
    until(
      (round) =>
        first.s3.send(new PutObjectCommand({ Bucket: 'logs-bucket', Key: `k/${round}`, Body: body(round) })),
      'objects',
    ),
    until(
      (round) =>
        first.s3.send(new PutObjectCommand({ Bucket: 'logs-bucket', Key: 'same', Body: body(round) })),
      'overwritten',
    ),
    until(
      (round) =>
        first.secrets.send(
          new PutSecretValueCommand({ SecretId: emptySecretArn, SecretString: String(round) }),
        ),
      'secrets',
    ),
  ];
  await reached;
  await first.kill();
  await Promise.all(writers);

  const second = await start();
  for (let round = 1; round <= acknowledged.items; round += 1) {
    const { Item } = await second.dynamodb.send(
      new GetItemCommand({ TableName: 'tenants', Key: { pk: { S: 'KILL' }, sk: { S: String(round) } } }),
    );
    expect(Item).toEqual(item(round));
  }
  // Item and index entry are one write: neither exists without the other.
  const { Items: scanned = [] } = await second.dynamodb.send(new ScanCommand({ TableName: 'tenants' }));
  const { Items: indexed = [] } = await second.dynamodb.send(
    new QueryCommand({
      TableName: 'tenants',
      IndexName: 'by-index',
      KeyConditionExpression: 'gsiKey = :all',
      ExpressionAttributeValues: { ':all': { S: 'ALL' } },
    }),
  );
  const rounds = (items: { sk?: { S?: string | undefined } }[]) =>
    items.map((one) => Number(one.sk?.S)).sort((a, b) => a - b);
  expect(rounds(indexed)).toEqual(rounds(scanned));

  for (let round = 1; round <= acknowledged.objects; round += 1) {
    const object = await second.s3.send(new GetObjectCommand({ Bucket: 'logs-bucket', Key: `k/${round}` }));
    expect(Buffer.from((await object.Body?.transformToByteArray()) ?? []).equals(body(round))).toBe(true);
  }
  // The object written over and over is one whole version: the last acknowledged, or the one that was under way.
  const same = await second.s3.send(new GetObjectCommand({ Bucket: 'logs-bucket', Key: 'same' }));
  const bytes = Buffer.from((await same.Body?.transformToByteArray()) ?? []);
  expect(bytes.length - 100_000 - acknowledged.overwritten).toBeGreaterThanOrEqual(0);
  expect(bytes.equals(body(bytes.length - 100_000))).toBe(true);
  const listed = await second.s3.send(new ListObjectsV2Command({ Bucket: 'logs-bucket', Prefix: 'k/' }));
  expect(listed.KeyCount).toBeGreaterThanOrEqual(acknowledged.objects);

  const secret = await second.secrets.send(new GetSecretValueCommand({ SecretId: emptySecretArn }));
  expect(Number(secret.SecretString)).toBeGreaterThanOrEqual(acknowledged.secrets);
  expect((await second.kms.send(new GetPublicKeyCommand({ KeyId: signKeyArn }))).PublicKey).toEqual(
    publicKey.PublicKey,
  );
  expect((await second.kms.send(mac())).Mac).toEqual(firstMac);
});

test('refuses a data directory that another endpoint is using, with DATA_DIR_IN_USE', async () => {
  await start();
  await expect(startAwsEndpoint(endpointOptions(dataDir))).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE' });
});

test('refuses a table whose keys are not those on disk, with TABLE_CHANGED, and leaves the directory free', async () => {
  const options = endpointOptions(dataDir);
  await (await startAwsEndpoint(options)).close();
  const [table] = options.tables;
  if (!table) throw new Error('no table');
  const changed = { ...options, tables: [{ ...table, keySchema: table.keySchema.slice(0, 1) }] };
  await expect(startAwsEndpoint(changed)).rejects.toMatchObject({ code: 'TABLE_CHANGED' });
  await (await startAwsEndpoint(options)).close();
});

test('keeps keys, secrets and the operator in files that only their owner can read', async () => {
  await (await startAwsEndpoint(endpointOptions(dataDir))).close();
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  for (const file of ['operator-credentials.json', 'kms/mrk-ca.json', 'kms/tokens.json']) {
    expect((await stat(path.join(dataDir, file))).mode & 0o777).toBe(0o600);
  }
});
