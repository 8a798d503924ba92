/** That IAM keeps tenants apart, whatever the code does: the very policies of the templates, asked as each function's role. */
import path from 'node:path';
import {
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient, type Tag } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newTenantId } from '../../core/tenant/identifier.ts';
import { type TenantCollection, tenantPartition } from '../../core/tenant/tenant-partition.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../../local/aws/endpoint.ts';
import type { Credentials } from '../../local/aws/sessions.ts';
import type { Deployment } from '../../local/template/deployment.ts';
import { laptop } from '../../local/template/intrinsics.ts';
import { deploymentOf } from './people.ts';
import type { Stack } from './stack.ts';

const collections: Readonly<Record<TenantCollection, true>> = {
  TENANT: true,
  CLUSTERS: true,
  ACCESS_RULES: true,
  PROGRESS: true,
  CLUSTER_NAMES: true,
  REGISTRATIONS: true,
  REGISTRATION_TOKENS: true,
  API_KEYS: true,
  IMAGES: true,
  IMAGE_NAMES: true,
  IMAGE_CARDS: true,
  IMAGE_FINDINGS: true,
  IMAGE_HISTORY: true,
  IMAGE_CHANGES: true,
  SCAN_UPLOADS: true,
  IMAGE_POLICY: true,
  ADMISSION_POLICY: true,
};
const allCollections = Object.keys(collections) as TenantCollection[];
/** What each one reads of its own tenant. */
const reads: Readonly<Record<string, TenantCollection>> = {
  registration: 'CLUSTERS',
  'install-assets': 'CLUSTERS',
  'image-scan': 'IMAGES',
  admission: 'IMAGE_POLICY',
  tunnel: 'CLUSTERS',
};

type Caller = {
  readonly name: string;
  readonly roleArn: string;
  readonly environment: Readonly<Record<string, string>>;
};

const denied = { name: 'AccessDeniedException' };
const deniedElsewhere = { name: 'AccessDenied' };

export function synthesisedPolicies(stack: () => Stack): void {
  describe('the synthesised policies', () => {
    const mine = newTenantId();
    const others = newTenantId();
    let deployment: Deployment;
    let endpoint: AwsEndpoint;
    let callers: Caller[];
    const clients: { destroy(): void }[] = [];
    const config = (credentials: Credentials) => ({
      endpoint: endpoint.url,
      region: laptop.region,
      credentials,
      maxAttempts: 1,
    });
    const keep = <T extends { destroy(): void }>(client: T): T => {
      clients.push(client);
      return client;
    };
    const dynamo = (credentials: Credentials) => keep(new DynamoDBClient(config(credentials)));
    const s3 = (credentials: Credentials) =>
      keep(new S3Client({ ...config(credentials), forcePathStyle: true }));
    const own = ({ roleArn }: Caller) => endpoint.credentialsFor(roleArn);

    async function asTenant(
      caller: Caller,
      tags: Tag[] = [{ Key: 'TenantId', Value: mine }],
      RoleArn = caller.environment.TENANT_ROLE_ARN,
    ): Promise<Credentials> {
      const sts = keep(new STSClient(config(own(caller))));
      const { Credentials: given } = await sts.send(
        new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test', Tags: tags }),
      );
      return {
        accessKeyId: given?.AccessKeyId ?? '',
        secretAccessKey: given?.SecretAccessKey ?? '',
        sessionToken: given?.SessionToken ?? '',
      };
    }

    const table = () => deployment.container.environment.TENANT_TABLE ?? '';
    const item = (tenantId: string, collection: TenantCollection) => ({
      TableName: table(),
      Key: { pk: { S: tenantPartition(tenantId, collection) }, sk: { S: 'x' } },
    });

    beforeAll(async () => {
      deployment = await deploymentOf(stack());
      endpoint = await startAwsEndpoint({
        ...deployment,
        dataDir: path.join(stack().process.data, 'policies'),
        region: laptop.region,
        accountId: laptop.accountId,
        log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      });
      callers = [...deployment.functions, { ...deployment.container, name: 'tunnel' }].filter(
        ({ environment }) => environment.TENANT_ROLE_ARN !== undefined,
      );
    });
    afterAll(async () => {
      for (const client of clients) client.destroy();
      await endpoint.close();
    });

    const callerOf = (name: string) => {
      const found = callers.find((each) => each.name.includes(name) || roleOf(each).includes(name));
      if (!found) throw new Error(`No ${name} among ${callers.map(({ name: its }) => its).join(', ')}`);
      return found;
    };
    const roleOf = ({ roleArn }: Caller) => roleArn.toLowerCase().replaceAll('-', '');

    test('give a tenant role to each of those that hold tenant data, and to nobody else', () => {
      expect(callers).toHaveLength(6);
      expect(new Set(callers.map(({ environment }) => environment.TENANT_ROLE_ARN)).size).toBe(6);
    });

    test.each(Object.entries(reads))(
      'let %s read %s of the tenant of its session, and nothing of another’s',
      async (name, collection) => {
        const caller = callerOf(name.replaceAll('-', ''));
        const session = dynamo(await asTenant(caller));
        await session.send(new GetItemCommand(item(mine, collection)));
        for (const each of allCollections) {
          await expect(session.send(new GetItemCommand(item(others, each)))).rejects.toMatchObject(denied);
          const { TableName, Key } = item(others, each);
          await expect(session.send(new PutItemCommand({ TableName, Item: Key }))).rejects.toMatchObject(
            denied,
          );
          const query = {
            TableName,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: { ':pk': Key.pk },
          };
          await expect(session.send(new QueryCommand(query))).rejects.toMatchObject(denied);
        }
        await expect(session.send(new ScanCommand({ TableName: table() }))).rejects.toMatchObject(denied);
      },
    );

    test('keep every function from tenant data outside a session, and from the tenant role of another function', async () => {
      for (const caller of callers) {
        for (const each of allCollections)
          await expect(dynamo(own(caller)).send(new GetItemCommand(item(mine, each)))).rejects.toMatchObject(
            denied,
          );
        for (const other of callers) {
          if (other === caller) continue;
          const role = other.environment.TENANT_ROLE_ARN;
          await expect(asTenant(caller, [{ Key: 'TenantId', Value: mine }], role)).rejects.toMatchObject(
            deniedElsewhere,
          );
        }
      }
    });

    test.each([
      ['no tag', []],
      ['an empty tenant', [{ Key: 'TenantId', Value: '' }]],
      ['what is no tenant', [{ Key: 'TenantId', Value: 't-a' }]],
      [
        'a tag beside the tenant',
        [
          { Key: 'TenantId', Value: 't-aaaaaaaaaaaaaaaaaaaa' },
          { Key: 'Admin', Value: 'yes' },
        ],
      ],
      ['the tag in another spelling', [{ Key: 'tenantid', Value: 't-aaaaaaaaaaaaaaaaaaaa' }]],
    ])('refuse a session with %s', async (_, tags) => {
      for (const caller of callers)
        await expect(asTenant(caller, tags)).rejects.toMatchObject(deniedElsewhere);
    });

    test('keep objects in the prefix of the session’s tenant, and nobody reads them back', async () => {
      const scans = callerOf('imagescan');
      const tunnel = callerOf('tunnel');
      const buckets = [
        [scans, scans.environment.SCAN_BUCKET, 'scans/x'],
        [tunnel, tunnel.environment.LOG_BUCKET, 'cluster/c/x'],
        [tunnel, tunnel.environment.LOG_BUCKET, 'audit/x'],
      ] as const;
      for (const [caller, Bucket, name] of buckets) {
        const session = s3(await asTenant(caller));
        await session.send(new PutObjectCommand({ Bucket, Key: `tenant/${mine}/${name}`, Body: 'x' }));
        for (const Key of [`tenant/${others}/${name}`, `tenant/${mine}x/${name}`, `tenant/*/${name}`, name]) {
          await expect(session.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))).rejects.toMatchObject(
            deniedElsewhere,
          );
          await expect(session.send(new GetObjectCommand({ Bucket, Key }))).rejects.toMatchObject(
            deniedElsewhere,
          );
        }
      }
    });
  });
}
