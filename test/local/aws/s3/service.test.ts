import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EndpointUnderTest } from '../endpoint-fixture.ts';
import { presignedUrl } from './presigned-url.ts';

let under: EndpointUnderTest;
let client: S3Client;
let ahead = 0;

beforeAll(async () => {
  under = await EndpointUnderTest.start({ now: () => Date.now() + ahead });
  client = under.s3(under.endpoint.operator);
});
afterAll(() => under.stop());

const at = (Key: string, Bucket = 'logs-bucket') => ({ Bucket, Key });
const put = (
  Key: string,
  Body: NonNullable<PutObjectCommandInput['Body']>,
  more: Partial<PutObjectCommandInput> = {},
) => client.send(new PutObjectCommand({ ...more, ...at(Key), Body }));
const get = async (Key: string, more: object = {}) => {
  const answer = await client.send(new GetObjectCommand({ ...at(Key), ...more }));
  return { ...answer, bytes: Buffer.from((await answer.Body?.transformToByteArray()) ?? []) };
};
const refusedWith = (name: string, httpStatusCode: number) => ({ name, $metadata: { httpStatusCode } });
/** Every byte differs from its neighbours, so that a part taken from the wrong place shows. */
const pattern = (size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, n) => (n * 7 + (n >> 8)) % 256));

describe('writing and reading', () => {
  test('gives back the bytes, headers, metadata, ETag and checksum', async () => {
    const body = pattern(5_000);
    const written = await put('plain', body, {
      ContentType: 'application/x-ndjson',
      ContentEncoding: 'gzip',
      CacheControl: 'no-store',
      Metadata: { origin: 'test' },
    });
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    expect(written).toMatchObject({ ETag: etag, ChecksumCRC32: expect.any(String) as unknown });
    const read = await get('plain', { ChecksumMode: 'ENABLED' });
    expect(read.bytes.equals(body)).toBe(true);
    expect(read).toMatchObject({
      ContentType: 'application/x-ndjson',
      ContentEncoding: 'gzip',
      CacheControl: 'no-store',
      Metadata: { origin: 'test' },
      ETag: etag,
      ContentLength: 5_000,
      ChecksumCRC32: written.ChecksumCRC32,
    });
  });

  test('takes the framing off a streamed body (aws-chunked with a trailing checksum)', async () => {
    const body = pattern(300_001);
    const pieces = [body.subarray(0, 1), body.subarray(1, 70_000), body.subarray(70_000)];
    await put('streamed', Readable.from(pieces), { ContentLength: body.length, ContentEncoding: 'gzip' });
    const read = await get('streamed');
    expect(read.bytes.equals(body)).toBe(true);
    expect(read.ContentEncoding).toBe('gzip');
  });

  test.each(['SHA1', 'SHA256'] as const)('keeps and returns a %s checksum', async (ChecksumAlgorithm) => {
    await put(`sum-${ChecksumAlgorithm}`, 'abc', { ChecksumAlgorithm });
    const read = await get(`sum-${ChecksumAlgorithm}`, { ChecksumMode: 'ENABLED' });
    const expected = createHash(ChecksumAlgorithm.toLowerCase()).update('abc').digest('base64');
    expect(read[`Checksum${ChecksumAlgorithm}`]).toBe(expected);
  });

  test('refuses a body that does not have the checksum it declares with BadDigest, and stores nothing', async () => {
    await expect(put('bad', 'abc', { ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject(
      refusedWith('BadDigest', 400),
    );
    const ContentMD5 = createHash('md5').update('other').digest('base64');
    await expect(put('bad', 'abc', { ContentMD5 })).rejects.toMatchObject(refusedWith('BadDigest', 400));
    await expect(get('bad')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  test('stores an empty object, and any characters in a key', async () => {
    const keys = [
      'empty',
      'a b+c%d&e=f?g#h',
      'ünï/çødé/✓😀',
      'dots/../x',
      'double//slash',
      "q'()*!~",
      'ends/',
    ];
    for (const key of keys)
      await put(key, key === 'empty' ? '' : key, key === 'empty' ? { ContentLength: 0 } : {});
    for (const key of keys) expect((await get(key)).bytes.toString()).toBe(key === 'empty' ? '' : key);
  });

  test('HEAD tells size and ETag, and 404 for what is missing', async () => {
    await put('headed', '12345');
    expect(await client.send(new HeadObjectCommand(at('headed')))).toMatchObject({ ContentLength: 5 });
    await expect(client.send(new HeadObjectCommand(at('missing')))).rejects.toMatchObject({
      name: 'NotFound',
    });
    await expect(client.send(new HeadBucketCommand({ Bucket: 'no-such-bucket' }))).rejects.toMatchObject({
      name: 'NotFound',
    });
    await expect(client.send(new GetObjectCommand(at('x', 'no-such-bucket')))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });

  test('deletes, and deleting what is not there is no error', async () => {
    await put('doomed', 'x');
    await client.send(new DeleteObjectCommand(at('doomed')));
    await client.send(new DeleteObjectCommand(at('doomed')));
    await expect(get('doomed')).rejects.toMatchObject(refusedWith('NoSuchKey', 404));
  });

  test('what is not served says so with 501', async () => {
    const copy = new CopyObjectCommand({ ...at('copied'), CopySource: 'logs-bucket/plain' });
    await expect(client.send(copy)).rejects.toMatchObject(refusedWith('NotImplemented', 501));
    await expect(put('crc', 'x', { ChecksumCRC32C: 'AAAAAA==' })).rejects.toMatchObject(
      refusedWith('NotImplemented', 501),
    );
  });
});

describe('ranges and conditions', () => {
  const body = pattern(1_000);
  beforeAll(() => put('ranged', body));

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-99', 10, 100],
    ['bytes=990-', 990, 1_000],
    ['bytes=-10', 990, 1_000],
    ['bytes=995-5000', 995, 1_000],
  ])('%s is answered 206 with those bytes', async (Range, from, to) => {
    const read = await get('ranged', { Range, ChecksumMode: 'ENABLED' });
    expect(read.bytes.equals(body.subarray(from, to))).toBe(true);
    expect(read.ContentRange).toBe(`bytes ${from}-${to - 1}/1000`);
    expect(read.$metadata.httpStatusCode).toBe(206);
  });

  test('a range beyond the end is 416', async () => {
    await expect(get('ranged', { Range: 'bytes=1000-' })).rejects.toMatchObject(
      refusedWith('InvalidRange', 416),
    );
  });

  test('If-None-Match on a GET is 304, If-Match of another ETag 412', async () => {
    const { ETag } = await get('ranged');
    await expect(get('ranged', { IfNoneMatch: ETag })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 304 },
    });
    await expect(get('ranged', { IfMatch: '"other"' })).rejects.toMatchObject({
      $metadata: { httpStatusCode: 412 },
    });
    await get('ranged', { IfMatch: ETag });
  });

  test('of many PUTs with If-None-Match: * at once exactly one is stored, the others are 412', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 12 }, (_, n) => put('raced', `writer ${n}`, { IfNoneMatch: '*' })),
    );
    const winner = results.findIndex((one) => one.status === 'fulfilled');
    const lost = results.filter((one) => one.status === 'rejected');
    expect(lost).toHaveLength(11);
    for (const { reason } of lost) expect(reason).toMatchObject(refusedWith('PreconditionFailed', 412));
    expect((await get('raced')).bytes.toString()).toBe(`writer ${winner}`);
  });

  test('If-Match on a PUT replaces only the version it names', async () => {
    const first = await put('replaced', '1');
    await put('replaced', '2', { IfMatch: first.ETag });
    await expect(put('replaced', '3', { IfMatch: first.ETag })).rejects.toMatchObject(
      refusedWith('PreconditionFailed', 412),
    );
    await expect(put('never', '3', { IfMatch: first.ETag })).rejects.toMatchObject(
      refusedWith('NoSuchKey', 404),
    );
    expect((await get('replaced')).bytes.toString()).toBe('2');
  });

  test('a key deleted may be created again under If-None-Match: *', async () => {
    await put('again', '1');
    await client.send(new DeleteObjectCommand(at('again')));
    await put('again', '2', { IfNoneMatch: '*' });
    expect((await get('again')).bytes.toString()).toBe('2');
  });
});

describe('listing', () => {
  const names = ['l/a', 'l/b/1', 'l/b/2', 'l/b0', 'l/c/1', 'l/d', 'l/\uffee', 'l/😀'];
  beforeAll(async () => {
    for (const name of names) await put(name, 'x');
  });
  const list = (more: object) =>
    client.send(new ListObjectsV2Command({ Bucket: 'logs-bucket', Prefix: 'l/', ...more }));

  test('is in the order of the UTF-8 bytes', async () => {
    expect((await list({})).Contents?.map((one) => one.Key)).toEqual(names);
  });

  test.each([1, 2, 3, 100])('goes through all pages of %i without loss or repetition', async (pageSize) => {
    const keys: (string | undefined)[] = [];
    for await (const page of paginateListObjectsV2(
      { client, pageSize },
      { Bucket: 'logs-bucket', Prefix: 'l/' },
    )) {
      keys.push(...(page.Contents ?? []).map((one) => one.Key));
    }
    expect(keys).toEqual(names);
  });

  test.each([1, 2, 3, 100])(
    'with a delimiter gives each common prefix once, on pages of %i',
    async (pageSize) => {
      const keys: (string | undefined)[] = [];
      const prefixes: (string | undefined)[] = [];
      const input = { Bucket: 'logs-bucket', Prefix: 'l/', Delimiter: '/' };
      for await (const page of paginateListObjectsV2({ client, pageSize }, input)) {
        keys.push(...(page.Contents ?? []).map((one) => one.Key));
        prefixes.push(...(page.CommonPrefixes ?? []).map((one) => one.Prefix));
      }
      expect(prefixes).toEqual(['l/b/', 'l/c/']);
      expect(keys).toEqual(names.filter((name) => !/\/[bc]\//.test(name)));
    },
  );

  test('starts after a key, and a prefix without objects is empty', async () => {
    expect((await list({ StartAfter: 'l/c/1' })).Contents?.map((one) => one.Key)).toEqual(names.slice(5));
    expect((await list({ Prefix: 'l/none' })).KeyCount).toBe(0);
  });
});

describe('a versioned bucket', () => {
  test('keeps what is replaced and what is deleted', async () => {
    const versioned = at('kept', 'versioned-bucket');
    const read = async (VersionId?: string) => {
      const answer = await client.send(new GetObjectCommand({ ...versioned, VersionId }));
      return answer.Body?.transformToString();
    };
    const first = await client.send(new PutObjectCommand({ ...versioned, Body: '1' }));
    const second = await client.send(new PutObjectCommand({ ...versioned, Body: '2' }));
    expect(await read()).toBe('2');
    expect(await read(first.VersionId)).toBe('1');
    const marker = await client.send(new DeleteObjectCommand(versioned));
    expect(marker.DeleteMarker).toBe(true);
    await expect(read()).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(await read(second.VersionId)).toBe('2');
    await client.send(new DeleteObjectCommand({ ...versioned, VersionId: marker.VersionId }));
    expect(await read()).toBe('2');
    await client.send(new DeleteObjectCommand({ ...versioned, VersionId: second.VersionId }));
    expect(await read()).toBe('1');
  });
});

describe('a presigned URL', () => {
  const url = async (key: string, more: object = {}) =>
    presignedUrl({
      endpoint: under.endpoint.url,
      credentials: await under.tenant('a'),
      path: `/logs-bucket/${key}`,
      expiresIn: 60,
      ...more,
    });
  beforeAll(async () => {
    await put('tenant/a/signed file', 'signed');
    await put('tenant/a/other', 'other');
    await put('tenant/ab/foreign', 'foreign');
  });

  test('reads the object without any header', async () => {
    const answer = await fetch(
      await url('tenant/a/signed%20file', { query: { 'response-content-type': 'text/x-test' } }),
    );
    expect([answer.status, await answer.text()]).toEqual([200, 'signed']);
    expect(answer.headers.get('content-type')).toBe('text/x-test');
  });

  test('writes an object', async () => {
    const signed = await url('tenant/a/uploaded', { method: 'PUT' });
    expect((await fetch(signed, { method: 'PUT', body: 'up' })).status).toBe(200);
    expect((await get('tenant/a/uploaded')).bytes.toString()).toBe('up');
  });

  test('does not serve for another object, another method or a longer time', async () => {
    const signed = await url('tenant/a/signed%20file');
    for (const changed of [
      signed.replace('signed%20file', 'other'),
      signed.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'),
    ]) {
      const answer = await fetch(changed);
      expect([answer.status, await answer.text()]).toEqual([
        403,
        expect.stringContaining('SignatureDoesNotMatch'),
      ]);
    }
    expect((await fetch(signed, { method: 'DELETE' })).status).toBe(403);
  });

  test('gives no more than its signer may do', async () => {
    const answer = await fetch(await url('tenant/ab/foreign'));
    expect([answer.status, await answer.text()]).toEqual([
      403,
      expect.stringContaining('<Code>AccessDenied</Code>'),
    ]);
  });

  test('is refused when its time is over', async () => {
    const signed = await url('tenant/a/signed%20file');
    ahead = 61_000;
    const answer = await fetch(signed).finally(() => (ahead = 0));
    expect([answer.status, await answer.text()]).toEqual([
      403,
      expect.stringContaining('Request has expired'),
    ]);
  });
});
