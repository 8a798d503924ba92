/** What the laptop's S3 takes by the URL of an upload (functions/image-scan), and whom it tells. */
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { uploadKey } from '../../../../core/image/upload-key.ts';
import { newTenantId } from '../../../../core/tenant/identifier.ts';
import type { TenantObjectClients } from '../../../../core/tenant/tenant-objects.ts';
import { objectCreated } from '../../../../functions/image-scan/take-upload.ts';
import { UploadedReportRepository } from '../../../../functions/image-scan/uploaded-report-repository.ts';
import { accountId, EndpointUnderTest, region } from '../endpoint-fixture.ts';

const bucket = 'scan-bucket';
const tenantId = newTenantId();
const report = Buffer.from('{"SchemaVersion":2}');
const sha256 = createHash('sha256').update(report).digest('hex');

let under: EndpointUnderTest;
let reports: UploadedReportRepository;
let ahead = 0;
const told: Record<string, unknown>[] = [];
beforeAll(async () => {
  under = await EndpointUnderTest.start({
    now: () => Date.now() + ahead,
    buckets: [{ name: bucket, versioned: true, announces: true }, { name: 'quiet-bucket' }],
    onObject: (event) => told.push(event),
  });
  const s3 = under.s3(under.endpoint.operator);
  reports = new UploadedReportRepository(() => ({ s3 }) as TenantObjectClients, bucket);
});
afterAll(() => under.stop());
beforeEach(() => {
  ahead = 0;
  told.splice(0);
});

let turn = 0;
const presigned = async () => {
  turn += 1;
  const uploadId = `u-${String.fromCharCode(97 + turn).repeat(26)}`;
  const announced = { contentLength: report.length, sha256, seconds: 60, now: Date.now() };
  return { uploadId, ...(await reports.presign(tenantId, uploadId, announced)) };
};

/** Other than `fetch` it sends the length that it is told. */
function put(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'PUT', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve([response.statusCode ?? 0, /<Code>(\w+)/.exec(text)?.[1] ?? '']));
    });
    sent.once('error', reject).end(body);
  });
}

const isThere = (uploadId: string) =>
  under
    .s3(under.endpoint.operator)
    .send(new HeadObjectCommand({ Bucket: bucket, Key: uploadKey(tenantId, uploadId) }))
    .then(
      () => true,
      () => false,
    );

describe('the URL of an upload', () => {
  test('takes the announced report, and EventBridge is told of it in words that the function knows', async () => {
    const { url, headers, uploadId } = await presigned();
    expect(await put(url, headers, report)).toEqual([200, '']);
    expect(await reports.read(tenantId, uploadId, { contentLength: report.length, sha256 })).toEqual(report);
    expect(told).toMatchObject([
      {
        version: '0',
        'detail-type': 'Object Created',
        source: 'aws.s3',
        account: accountId,
        region,
        resources: [`arn:aws:s3:::${bucket}`],
        detail: {
          bucket: { name: bucket },
          object: { key: uploadKey(tenantId, uploadId), size: report.length },
          reason: 'PutObject',
        },
      },
    ]);
    expect(objectCreated.parse(told[0]).detail.object.key).toBe(uploadKey(tenantId, uploadId));
  });

  test.each([
    ['other bytes of the same length', {}, Buffer.from('{"SchemaVersion":3}'), [400, 'BadDigest']],
    [
      'a longer report',
      { 'Content-Length': String(report.length + 1) },
      Buffer.concat([report, Buffer.from(' ')]),
      [403, 'SignatureDoesNotMatch'],
    ],
    ['a shorter report', { 'Content-Length': '2' }, Buffer.from('{}'), [403, 'SignatureDoesNotMatch']],
    [
      'another report with its own checksum',
      { 'x-amz-checksum-sha256': createHash('sha256').update('{"SchemaVersion":3}').digest('base64') },
      Buffer.from('{"SchemaVersion":3}'),
      [403, 'SignatureDoesNotMatch'],
    ],
  ] as const)('does not take %s, and nobody is told', async (_what, other, body, refusal) => {
    const { url, headers, uploadId } = await presigned();
    expect(await put(url, { ...headers, ...other }, body)).toEqual(refusal);
    expect([await isThere(uploadId), told]).toEqual([false, []]);
  });

  test('takes nothing without the checksum, for another upload, or of another tenant', async () => {
    const { url, headers, uploadId } = await presigned();
    const { 'x-amz-checksum-sha256': _checksum, ...without } = headers;
    const refused = [403, 'SignatureDoesNotMatch'];
    expect(await put(url, without, report)).toEqual(refused);
    expect(await put(url.replace(uploadId, `u-${'z'.repeat(26)}`), headers, report)).toEqual(refused);
    expect(await put(url.replace(tenantId, newTenantId()), headers, report)).toEqual(refused);
    expect([await isThere(uploadId), told]).toEqual([false, []]);
  });

  test('takes nothing after its end', async () => {
    const { url, headers, uploadId } = await presigned();
    ahead = 61_000;
    expect(await put(url, headers, report)).toEqual([403, 'AccessDenied']);
    expect([await isThere(uploadId), told]).toEqual([false, []]);
  });
});

test('of a bucket that does not announce its objects nobody is told', async () => {
  const s3 = under.s3(under.endpoint.operator);
  await s3.send(new PutObjectCommand({ Bucket: 'quiet-bucket', Key: 'uploads/x', Body: 'x' }));
  expect(told).toEqual([]);
});
