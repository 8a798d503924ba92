import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DeleteItemCommand,
  ExecuteStatementCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand } from '@aws-sdk/client-sts';
import { SignCommand } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  accountId,
  EndpointUnderTest,
  functionRole,
  guardlessRole,
  sdkCredentials,
  signKeyArn,
  strangerRole,
  tableArn,
  tenantRole,
} from './endpoint-fixture.ts';

let under: EndpointUnderTest;
let tables: { a: DynamoDBClient; ab: DynamoDBClient; operator: DynamoDBClient };
let objects: { a: S3Client; operator: S3Client };

const key = (tenant: string, sk = '1') => ({ pk: { S: `TENANT#${tenant}#CLUSTERS` }, sk: { S: sk } });
const denied = { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } };
const deniedObject = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };

beforeAll(async () => {
  under = await EndpointUnderTest.start();
  const a = await under.tenant('a');
  const operator = under.endpoint.operator;
  tables = {
    a: under.dynamodb(a),
    ab: under.dynamodb(await under.tenant('ab')),
    operator: under.dynamodb(operator),
  };
  objects = { a: under.s3(a), operator: under.s3(operator) };
  for (const tenant of ['a', 'ab']) {
    await tables.operator.send(
      new PutItemCommand({
        TableName: 'tenants',
        Item: { ...key(tenant), gsiKey: { S: `TENANT#${tenant}#name` } },
      }),
    );
    await objects.operator.send(
      new PutObjectCommand({ Bucket: 'logs-bucket', Key: `tenant/${tenant}/x`, Body: tenant }),
    );
  }
});
afterAll(() => under.stop());

describe('items', () => {
  test('a tenant reads and writes its own', async () => {
    expect(
      (await tables.a.send(new GetItemCommand({ TableName: 'tenants', Key: key('a') }))).Item,
    ).toBeDefined();
    await tables.a.send(new PutItemCommand({ TableName: 'tenants', Item: key('a', '2') }));
    await tables.a.send(new DeleteItemCommand({ TableName: 'tenants', Key: key('a', '2') }));
  });

  test('tenant a is refused at the keys of tenant ab, of which its own name is the beginning, and the other way round', async () => {
    const TableName = 'tenants';
    const attempts = await Promise.allSettled([
      tables.a.send(new GetItemCommand({ TableName, Key: key('ab') })),
      tables.a.send(new PutItemCommand({ TableName, Item: key('ab', '2') })),
      tables.a.send(new UpdateItemCommand({ TableName, Key: key('ab') })),
      tables.a.send(new DeleteItemCommand({ TableName, Key: key('ab') })),
    ]);
    for (const attempt of attempts) expect(attempt).toMatchObject({ status: 'rejected', reason: denied });
    await expect(
      tables.ab.send(new GetItemCommand({ TableName: 'tenants', Key: key('a') })),
    ).rejects.toMatchObject(denied);
    const left = await tables.operator.send(new GetItemCommand({ TableName: 'tenants', Key: key('ab') }));
    expect(left.Item).toBeDefined();
  });

  test('the refusal names caller, action and resource, is logged with the role, and says nothing of the key', async () => {
    under.logged.length = 0;
    await expect(
      tables.a.send(new GetItemCommand({ TableName: 'tenants', Key: key('ab') })),
    ).rejects.toMatchObject({
      message: `User: arn:aws:sts::${accountId}:assumed-role/tenant/tenant-session is not authorized to perform: dynamodb:GetItem on resource: ${tableArn} because no identity-based policy allows the dynamodb:GetItem action`,
    });
    expect(under.logged).toMatchObject([
      { level: 'warn', fields: { role: tenantRole, action: 'dynamodb:GetItem', resource: tableArn } },
    ]);
    expect(JSON.stringify(under.logged)).not.toContain('TENANT#ab');
  });

  const query = (tenant: string) =>
    new QueryCommand({
      TableName: 'tenants',
      KeyConditionExpression: '#pk = :pk AND begins_with(sk, :sk)',
      ExpressionAttributeNames: { '#pk': 'pk' },
      ExpressionAttributeValues: { ':pk': { S: `TENANT#${tenant}#CLUSTERS` }, ':sk': { S: '1' } },
    });

  test('a Query of its own partition is allowed and of a foreign one refused', async () => {
    expect((await tables.a.send(query('a'))).Count).toBe(1);
    await expect(tables.a.send(query('ab'))).rejects.toMatchObject(denied);
  });

  test("on an index it is the index's key that counts", async () => {
    const onIndex = (value: string) =>
      new QueryCommand({
        TableName: 'tenants',
        IndexName: 'by-index',
        KeyConditionExpression: 'gsiKey = :v',
        ExpressionAttributeValues: { ':v': { S: value } },
      });
    expect((await tables.a.send(onIndex('TENANT#a#name'))).Count).toBe(1);
    await expect(tables.a.send(onIndex('TENANT#ab#name'))).rejects.toMatchObject(denied);
  });

  test('one foreign key in a batch refuses the batch', async () => {
    const read = (...tenants: string[]) =>
      new BatchGetItemCommand({ RequestItems: { tenants: { Keys: tenants.map((tenant) => key(tenant)) } } });
    expect((await tables.a.send(read('a'))).Responses?.tenants).toHaveLength(1);
    await expect(tables.a.send(read('a', 'ab'))).rejects.toMatchObject(denied);
    const write = new BatchWriteItemCommand({
      RequestItems: {
        tenants: [{ PutRequest: { Item: key('a', '9') } }, { DeleteRequest: { Key: key('ab') } }],
      },
    });
    await expect(tables.a.send(write)).rejects.toMatchObject(denied);
    const unwritten = await tables.operator.send(
      new GetItemCommand({ TableName: 'tenants', Key: key('a', '9') }),
    );
    expect(unwritten.Item).toBeUndefined();
  });

  test('a Scan and PartiQL, which name no partition, are refused by the Null guard, and a Scan passes without it', async () => {
    const scan = new ScanCommand({ TableName: 'tenants' });
    await expect(tables.a.send(scan)).rejects.toMatchObject(denied);
    await expect(
      tables.a.send(new ScanCommand({ TableName: 'tenants', IndexName: 'by-index' })),
    ).rejects.toMatchObject(denied);
    await expect(
      tables.a.send(new ExecuteStatementCommand({ Statement: 'SELECT * FROM "tenants"' })),
    ).rejects.toMatchObject(denied);
    const guardless = under.dynamodb(await under.tenant('a', guardlessRole));
    expect((await guardless.send(scan)).Count).toBe(2);
  });
});

describe('objects', () => {
  const at = (Key: string) => ({ Bucket: 'logs-bucket', Key });

  test('a tenant reads, writes and lists below its own prefix', async () => {
    expect(
      await (await objects.a.send(new GetObjectCommand(at('tenant/a/x')))).Body?.transformToString(),
    ).toBe('a');
    await objects.a.send(new PutObjectCommand({ ...at('tenant/a/new'), Body: 'n' }));
    const listed = await objects.a.send(
      new ListObjectsV2Command({ Bucket: 'logs-bucket', Prefix: 'tenant/a/' }),
    );
    expect(listed.Contents?.map((one) => one.Key)).toEqual(['tenant/a/new', 'tenant/a/x']);
  });

  test.each(['tenant/ab/x', 'tenant/x', 'tenant/*/x', 'tenant/?/x', 'other'])(
    'is refused at the key %s',
    async (name) => {
      await expect(objects.a.send(new GetObjectCommand(at(name)))).rejects.toMatchObject(deniedObject);
      await expect(objects.a.send(new PutObjectCommand({ ...at(name), Body: 'n' }))).rejects.toMatchObject(
        deniedObject,
      );
    },
  );

  test.each(['tenant/ab/', 'tenant/', '', undefined])(
    'is refused at listing the prefix %p',
    async (prefix) => {
      const list = new ListObjectsV2Command({
        Bucket: 'logs-bucket',
        ...(prefix === undefined ? {} : { Prefix: prefix }),
      });
      await expect(objects.a.send(list)).rejects.toMatchObject(deniedObject);
    },
  );

  test('a missing object is 403 to who may not list, and 404 to who may', async () => {
    await expect(objects.a.send(new GetObjectCommand(at('tenant/a/missing')))).rejects.toMatchObject(
      deniedObject,
    );
    await expect(objects.a.send(new HeadObjectCommand(at('tenant/a/missing')))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
    await expect(objects.operator.send(new GetObjectCommand(at('tenant/a/missing')))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
  });

  test("a bucket policy's explicit deny wins over what the role allows", async () => {
    await objects.a.send(new PutObjectCommand({ ...at('tenant/a/held/1'), Body: 'h' }));
    await expect(objects.a.send(new DeleteObjectCommand(at('tenant/a/held/1')))).rejects.toMatchObject({
      ...deniedObject,
      message: expect.stringContaining('with an explicit deny in a resource-based policy') as unknown,
    });
  });

  test('of a list of deletions only the foreign one is refused', async () => {
    await objects.a.send(new PutObjectCommand({ ...at('tenant/a/gone & <more>'), Body: 'n' }));
    const answer = await objects.a.send(
      new DeleteObjectsCommand({
        Bucket: 'logs-bucket',
        Delete: { Objects: [{ Key: 'tenant/a/gone & <more>' }, { Key: 'tenant/ab/x' }] },
      }),
    );
    expect(answer.Deleted?.map((one) => one.Key)).toEqual(['tenant/a/gone & <more>']);
    expect(answer.Errors).toMatchObject([{ Key: 'tenant/ab/x', Code: 'AccessDenied' }]);
    await objects.operator.send(new HeadObjectCommand(at('tenant/ab/x')));
  });
});

describe('assuming the tenant role', () => {
  const assume = (more: object = {}, RoleArn = tenantRole) =>
    new AssumeRoleCommand({
      RoleArn,
      RoleSessionName: 'test',
      Tags: [{ Key: 'TenantId', Value: 'a' }],
      ...more,
    });
  const refused = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };

  test('without the tag that the trust policy wants is refused', async () => {
    const sts = under.sts(under.endpoint.credentialsFor(functionRole));
    await expect(sts.send(assume({ Tags: [] }))).rejects.toMatchObject(refused);
    await expect(sts.send(assume({ Tags: [{ Key: 'TenantId', Value: '' }] }))).rejects.toMatchObject(refused);
  });

  test('with a tag beside the pinned one is refused', async () => {
    const sts = under.sts(under.endpoint.credentialsFor(functionRole));
    const Tags = [
      { Key: 'TenantId', Value: 'a' },
      { Key: 'Admin', Value: 'yes' },
    ];
    await expect(sts.send(assume({ Tags }))).rejects.toMatchObject(refused);
    // As in AWS: where the trust policy names the caller, it alone decides. A pin in the caller's own policy does not bind there.
    await sts.send(assume({ Tags }, guardlessRole));
  });

  test('by a role that it does not trust is refused, whatever that role may do', async () => {
    await expect(under.sts(under.endpoint.credentialsFor(strangerRole)).send(assume())).rejects.toMatchObject(
      refused,
    );
  });

  test('that does not exist is refused like one that does not trust the caller', async () => {
    const sts = under.sts(under.endpoint.credentialsFor(functionRole));
    await expect(sts.send(assume({}, `arn:aws:iam::${accountId}:role/missing`))).rejects.toMatchObject(
      refused,
    );
    await expect(sts.send(assume({}, functionRole))).rejects.toMatchObject(refused);
  });

  test('from the tenant role itself is refused', async () => {
    await expect(under.sts(await under.tenant('a')).send(assume())).rejects.toMatchObject(refused);
  });

  test('with a session policy narrows the role', async () => {
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'dynamodb:GetItem', Resource: tableArn }],
    });
    const answer = await under.sts(under.endpoint.credentialsFor(functionRole)).send(assume({ Policy }));
    const narrowed = under.dynamodb(sdkCredentials(answer.Credentials));
    await narrowed.send(new GetItemCommand({ TableName: 'tenants', Key: key('a') }));
    await expect(
      narrowed.send(new PutItemCommand({ TableName: 'tenants', Item: key('a') })),
    ).rejects.toMatchObject(denied);
  });

  test('leaves the function itself without access to items and objects', async () => {
    const own = under.endpoint.credentialsFor(functionRole);
    await expect(
      under.dynamodb(own).send(new GetItemCommand({ TableName: 'tenants', Key: key('a') })),
    ).rejects.toMatchObject(denied);
    await expect(
      under.s3(own).send(new GetObjectCommand({ Bucket: 'logs-bucket', Key: 'tenant/a/x' })),
    ).rejects.toMatchObject(deniedObject);
  });

  test('leaves the tenant role without the keys', async () => {
    const sign = new SignCommand({
      KeyId: signKeyArn,
      Message: Buffer.from('x'),
      SigningAlgorithm: 'ECDSA_SHA_256',
    });
    await expect(under.kms(await under.tenant('a')).send(sign)).rejects.toMatchObject(denied);
  });
});

test('a session is refused once it has expired', async () => {
  let ahead = 0;
  const clocked = await EndpointUnderTest.start({ now: () => Date.now() + ahead });
  try {
    const credentials = await clocked.tenant('a');
    const get = new GetItemCommand({ TableName: 'tenants', Key: key('a') });
    await clocked.dynamodb(credentials).send(get);
    ahead = 3_599_000;
    await clocked.dynamodb(credentials).send(get);
    ahead = 3_601_000;
    await expect(clocked.dynamodb(credentials).send(get)).rejects.toMatchObject({
      name: 'ExpiredTokenException',
    });
    const object = new GetObjectCommand({ Bucket: 'logs-bucket', Key: 'tenant/a/x' });
    await expect(clocked.s3(credentials).send(object)).rejects.toMatchObject({ name: 'ExpiredToken' });
  } finally {
    await clocked.stop();
  }
});
