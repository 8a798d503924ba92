import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { STSClient } from '@aws-sdk/client-sts';
import { tenantAccess } from '../../../core/tenant/tenant-access.ts';
import { tenantObjects } from '../../../core/tenant/tenant-objects.ts';

const tenantA = 't-aaaaaaaaaaaaaaaaaaaa';
const tenantB = 't-bbbbbbbbbbbbbbbbbbbb';

describe('a tenant’s clients', () => {
  let server: Server;
  let sts: STSClient;
  let asked: URLSearchParams[] = [];
  let lifeMs = 3_600_000;
  beforeAll(async () => {
    // An STS that hands out the tag as part of the key, as long as it has one.
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const query = new URLSearchParams(body);
        asked.push(query);
        response.setHeader('Content-Type', 'text/xml').end(
          `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
           <AccessKeyId>KEY-${query.get('Tags.member.1.Value') ?? 'none'}</AccessKeyId>
           <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
           <Expiration>${new Date(Date.now() + lifeMs).toISOString()}</Expiration>
           </Credentials></AssumeRoleResult></AssumeRoleResponse>`,
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    sts = new STSClient({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'function', secretAccessKey: 'x' },
    });
  });
  afterAll(async () => {
    sts.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  beforeEach(() => {
    asked = [];
    lifeMs = 3_600_000;
  });

  const accessOf = (options = {}) =>
    tenantAccess({
      roleArn: 'arn:aws:iam::1:role/tenant',
      sessionName: 'test',
      clients: tenantObjects,
      sts,
      ...options,
    });
  const keyOf = async (access: ReturnType<typeof accessOf>, tenantId: string) =>
    (await access(tenantId).dynamo.config.credentials()).accessKeyId;

  test('assume the tenant role with the tenant as the one session tag', async () => {
    const access = accessOf();
    expect(await keyOf(access, tenantA)).toBe(`KEY-${tenantA}`);
    const tags = [...(asked[0] ?? [])].filter(([name]) => name.startsWith('Tags.'));
    expect(tags).toEqual([
      ['Tags.member.1.Key', 'TenantId'],
      ['Tags.member.1.Value', tenantA],
    ]);
    expect(asked[0]?.get('RoleArn')).toBe('arn:aws:iam::1:role/tenant');
    expect(asked[0]?.get('TransitiveTagKeys.member.1')).toBeNull();
  });

  test('are never another tenant’s, and S3 and DynamoDB hold the same rights', async () => {
    const access = accessOf();
    const keys = await Promise.all([tenantA, tenantB, tenantA, tenantB].map((id) => keyOf(access, id)));
    expect(keys).toEqual([tenantA, tenantB, tenantA, tenantB].map((id) => `KEY-${id}`));
    expect((await access(tenantB).s3.config.credentials()).accessKeyId).toBe(`KEY-${tenantB}`);
  });

  test('ask once for concurrent and later calls', async () => {
    const access = accessOf();
    const { dynamo } = access(tenantA);
    await Promise.all(Array.from({ length: 20 }, () => dynamo.config.credentials()));
    await access(tenantA).dynamo.config.credentials();
    expect(asked).toHaveLength(1);
  });

  test('ask again when the credentials are near their end', async () => {
    lifeMs = 60_000;
    const access = accessOf();
    await keyOf(access, tenantA);
    await keyOf(access, tenantA);
    expect(asked.length).toBeGreaterThan(1);
  });

  test('are bounded in number: what was not used for long is asked for again', async () => {
    const access = accessOf({ maxTenants: 2 });
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => `t-${letter.repeat(20)}`);
    for (const id of ids) await keyOf(access, id);
    expect(asked).toHaveLength(6);
    await keyOf(access, ids[0] ?? '');
    expect(asked).toHaveLength(7);
    await keyOf(access, ids[0] ?? '');
    expect(asked).toHaveLength(7);
  });

  test.each(['', 't-*', 't-aaaaaaaaaaaaaaaaaaa*', 'TENANT'])('are not given for %j', (id) => {
    expect(() => accessOf()(id)).toThrow(TypeError);
  });
});
