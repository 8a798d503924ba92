import { createHash } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { uploadKey, uploadOf } from '../../../core/image/upload-key.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { UploadedReportRepository } from '../../../functions/image-scan/uploaded-report-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';

const now = Date.now();
const tenantId = newTenantId();
const uploadId = `u-${'a'.repeat(26)}`;
const report = Buffer.from('{"SchemaVersion":2}');
const sha256 = createHash('sha256').update(report).digest('hex');
const announced = { contentLength: report.length, sha256 };

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

/** With a session that ends in so many seconds. */
const signing = (seconds: number) => {
  const s3 = new S3Client({
    region: 'eu-central-1',
    credentials: {
      accessKeyId: 'key',
      secretAccessKey: 'secret',
      sessionToken: 'token',
      expiration: new Date(now + seconds * 1_000),
    },
  });
  return new UploadedReportRepository(() => ({ ...engine.access(tenantId), s3 }), 'scan-bucket');
};

describe('the URL of an upload', () => {
  test('signs the key of tenant and upload, the length and the SHA-256, and holds no other header', async () => {
    const { url, headers, until } = await signing(3_600).presign(tenantId, uploadId, {
      ...announced,
      seconds: 900,
      now,
    });
    const { pathname, searchParams } = new URL(url);
    expect(pathname.endsWith(`/uploads/tenant/${tenantId}/${uploadId}`)).toBe(true);
    expect(searchParams.get('X-Amz-SignedHeaders')).toBe(
      'content-length;content-type;host;x-amz-checksum-sha256',
    );
    expect(searchParams.get('X-Amz-Expires')).toBe('900');
    expect([...searchParams.keys()].filter((name) => /checksum|length/i.test(name))).toEqual([]);
    expect(headers).toEqual({
      'Content-Length': String(report.length),
      'Content-Type': 'application/json',
      'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64'),
    });
    expect(until).toBe(now + 900_000);
  });

  test('says that it ends with the session that signs it, when that is earlier', async () => {
    const { url, until } = await signing(400.9).presign(tenantId, uploadId, {
      ...announced,
      seconds: 900,
      now,
    });
    expect([new URL(url).searchParams.get('X-Amz-Expires'), until]).toEqual(['400', now + 400_000]);
  });
});

describe('an uploaded report', () => {
  const put = (Body: Uint8Array) =>
    engine.s3.send(
      new PutObjectCommand({ Bucket: engine.buckets.scan, Key: uploadKey(tenantId, uploadId), Body }),
    );
  const read = () =>
    new UploadedReportRepository(engine.access, engine.buckets.scan).read(tenantId, uploadId, announced);

  test('is read as it was sent', async () => {
    await put(report);
    expect(await read()).toEqual(report);
  });

  test('of another length or with other bytes than announced is none', async () => {
    await put(Buffer.concat([report, Buffer.from(' ')]));
    expect(await read()).toBeUndefined();
    await put(Buffer.from('{"SchemaVersion":3}'));
    expect(await read()).toBeUndefined();
  });
});

describe('the key of an upload', () => {
  test('tells tenant and upload', () => {
    expect(uploadOf(uploadKey(tenantId, uploadId))).toEqual({ tenantId, uploadId });
  });

  test.each([
    [`tenant/${tenantId}/${uploadId}`],
    [`uploads/tenant/${tenantId}`],
    [`uploads/tenant/${tenantId}/`],
    [`uploads/tenant/${tenantId}/${uploadId}/more`],
    [`uploads/tenant/${tenantId}b/${uploadId}`],
    [`uploads/tenant/T-/${uploadId}`],
    [`uploads/other/${tenantId}/${uploadId}`],
    [`uploads/tenant/${tenantId}/../${uploadId}`],
    [`uploads/tenant/${tenantId}/FOLLOWERS`],
    [''],
  ])('%s is none', (key) => {
    expect(uploadOf(key)).toBeUndefined();
  });
});
