import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateTableCommand, DescribeTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { buildApp } from 'fauxqs';
import { documentClient } from '../core/tenant/tenant-access.ts';
import type { TenantObjectAccess } from '../core/tenant/tenant-objects.ts';
import { type Faults, injectFaults } from './engine-faults.ts';
import { countUnits, type Units } from './engine-units.ts';

/** A DynamoDB and an S3 with empty tables and buckets of their own, for the tests of repositories. */
export type Engine = {
  readonly dynamo: DynamoDBDocumentClient;
  readonly s3: S3Client;
  readonly tables: { readonly tenant: string; readonly directory: string; readonly identities: string };
  readonly buckets: { readonly log: string; readonly scan: string };
  /** The same clients for every tenant: isolation is judged elsewhere, against the synthesised policies. */
  readonly access: TenantObjectAccess;
  /** What `work` consumes of DynamoDB, in capacity units. */
  readonly units: (work: () => Promise<unknown>) => Promise<Units>;
  /** Loses answers or kills the process, in the middle of a use case. */
  readonly faults: Faults;
  readonly close: () => Promise<void>;
};

/** Whether consumed capacity is told as AWS bills it; the other stand-ins leave parts of it out. */
export const unitsAreExact = process.env.AWS_ENDPOINT_URL === undefined;

type Started = { readonly url: string; readonly close: () => Promise<void> };

/**
 * Starts the engine that judges a repository test: whatever listens at `AWS_ENDPOINT_URL`, or, without that
 * variable, embedded engines in memory on a loopback port of their own (S3 only once it is used).
 * Names are new with every call, so tests that share an endpoint do not meet.
 */
export async function startEngine(): Promise<Engine> {
  const given = process.env.AWS_ENDPOINT_URL;
  const nothing = () => Promise.resolve();
  const dynamoServer: Started = given ? { url: given, close: nothing } : await startDynamo();
  const suffix = randomBytes(6).toString('hex');
  const tables = {
    tenant: `tenant-${suffix}`,
    directory: `directory-${suffix}`,
    identities: `identities-${suffix}`,
  };
  const buckets = { log: `log-${suffix}`, scan: `scan-${suffix}` };
  const options = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };

  // A thousand calls at once wait their turn: no reason to warn.
  const requestHandler = { socketAcquisitionWarningTimeout: 600_000 };
  const client = new DynamoDBClient({ ...options, endpoint: dynamoServer.url, requestHandler });
  const faults = injectFaults(client);
  const dynamo = documentClient(client);
  await Promise.all(Object.values(tables).map((name) => createTable(client, name)));

  let s3Server: Promise<Started> | undefined;
  const s3 = new S3Client({
    ...options,
    forcePathStyle: true,
    endpoint: async () => {
      s3Server ??= given ? Promise.resolve({ url: given, close: nothing }) : startS3(Object.values(buckets));
      const url = new URL((await s3Server).url);
      return { protocol: url.protocol, hostname: url.hostname, port: Number(url.port), path: url.pathname };
    },
  });
  if (given)
    await Promise.all(Object.values(buckets).map((Bucket) => s3.send(new CreateBucketCommand({ Bucket }))));

  return {
    dynamo,
    s3,
    tables,
    buckets,
    access: () => ({ dynamo, s3 }),
    units: (work) => countUnits(client, work),
    faults,
    close: async () => {
      client.destroy();
      s3.destroy();
      await dynamoServer.close();
      await (await s3Server)?.close();
    },
  };
}

async function createTable(client: DynamoDBClient, TableName: string): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'sk', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  for (;;) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    if (Table?.TableStatus === 'ACTIVE') return;
  }
}

async function startDynamo(): Promise<Started> {
  // The package has no types.
  const dynalite = createRequire(import.meta.url)('dynalite') as (options: object) => Server;
  const server = dynalite({ createTableMs: 0 });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

async function startS3(buckets: readonly string[]): Promise<Started> {
  const app = buildApp({ logger: false });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  for (const bucket of buckets) await app.inject({ method: 'PUT', url: `/${bucket}` });
  return { url, close: () => app.close() };
}
