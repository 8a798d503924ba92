import { gzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { trailInBucket } from '../../../scripts/audit-source.ts';
import { verifyTrail } from '../../../scripts/audit-verification.ts';
import { AuditRepository } from '../../../tunnel-fargate/audit/audit-repository.ts';
import { AuditTrail } from '../../../tunnel-fargate/audit/audit-trail.ts';
import { EndpointUnderTest } from '../../local/aws/endpoint-fixture.ts';
import { documentClient } from '../../../core/tenant/tenant-access.ts';
import type { TenantObjectAccess } from '../../../core/tenant/tenant-objects.ts';
import { tenantA, tenantB } from './audit-fixture.ts';

const place = { tenantId: tenantA, date: '2026-11-23', taskId: 'task', firstSeq: 1 };

describe('audit objects in S3', () => {
  // The laptop's S3: the engine of the other repositories' tests knows no conditional PUT.
  const bucket = 'logs-bucket';
  let under: EndpointUnderTest;
  let access: TenantObjectAccess;
  beforeAll(async () => {
    under = await EndpointUnderTest.start();
    const clients = new Map(
      await Promise.all(
        [tenantA, tenantB].map(async (tenantId) => {
          const credentials = await under.tenant(tenantId);
          const dynamo = documentClient(under.dynamodb(credentials));
          return [tenantId, { dynamo, s3: under.s3(credentials) }] as const;
        }),
      ),
    );
    access = (tenantId) => {
      const found = clients.get(tenantId);
      if (!found) throw new Error('no such tenant');
      return found;
    };
  });
  afterAll(() => under.stop());

  test('are never written over: what is there stays, and an attempt that is repeated succeeds', async () => {
    const repository = new AuditRepository(access, bucket);
    await repository.put({ ...place, body: gzipSync('first\n') });
    await repository.put({ ...place, body: gzipSync('second\n') });
    const Key = `tenant/${tenantA}/audit/date=2026-11-23/task/000000000001.ndjson.gz`;
    const s3 = under.s3(under.endpoint.operator);
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
    expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(gzipSync('first\n'))).toBe(true);
    const { KeyCount } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }));
    expect(KeyCount).toBe(1);
  });

  test('of a trail are found in the bucket by tenant and day, and verify', async () => {
    const trail = new AuditTrail({
      sink: new AuditRepository(access, bucket),
      taskId: 'whole',
      now: () => Date.parse('2026-11-24T08:00:00Z'),
      logger: { info: () => undefined, error: () => undefined },
      batch: { records: 5 },
    });
    for (let nth = 0; nth < 20; nth += 1) trail.admit(tenantB).end({ requestId: `r${nth}`, status: 200 });
    await trail.close(10_000);
    const from = { bucket, tenantId: tenantB };
    const s3 = under.s3(under.endpoint.operator);
    const objects = await trailInBucket(s3, { ...from, date: '2026-11-24' });
    expect(await verifyTrail(objects)).toMatchObject([
      { tenantId: tenantB, taskId: 'whole', records: 22, end: 'closed', faults: [] },
    ]);
    expect(await trailInBucket(s3, { ...from, date: '2026-11-25' })).toEqual([]);
  });

  test('are given up when S3 does not answer in time', async () => {
    const silent = new S3Client({
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      requestHandler: {
        handle: (_request: unknown, { abortSignal }: { abortSignal?: AbortSignal } = {}) =>
          new Promise<never>((_resolve, reject) => {
            abortSignal?.addEventListener('abort', () => reject(abortSignal.reason as Error));
          }),
      },
    });
    const repository = new AuditRepository(
      () => ({ dynamo: access(tenantA).dynamo, s3: silent }),
      'bucket',
      30,
    );
    await expect(repository.put({ ...place, body: gzipSync('x') })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
