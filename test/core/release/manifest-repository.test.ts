import { createHash } from 'node:crypto';
import { HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ManifestName, manifestKey } from '../../../core/release/manifest-key.ts';
import { ManifestRepository } from '../../../core/release/manifest-repository.ts';
import { EndpointUnderTest } from '../../local/aws/endpoint-fixture.ts';

const bucket = 'logs-bucket';
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const named = (bytes: Uint8Array, name = 'custom-resources.yaml', version = 'v3.32.1'): ManifestName => ({
  version,
  name,
  sha256: digest(bytes),
});
const yaml = Buffer.from('kind: Installation\n# größer\n');

/** What was sent to S3, by the names of the commands. */
function counted(s3: S3Client): string[] {
  const sent: string[] = [];
  s3.middlewareStack.add(
    (next, { commandName = '' }) =>
      (args) => {
        sent.push(commandName.replace(/Command$/, ''));
        return next(args);
      },
    { step: 'initialize' },
  );
  return sent;
}

describe('the mirrored manifests', () => {
  let under: EndpointUnderTest;
  /** Of the endpoint's clock, ms. */
  let ahead = 0;
  let s3: S3Client;
  let sent: string[];
  let repository: ManifestRepository;

  beforeAll(async () => {
    under = await EndpointUnderTest.start({ now: () => Date.now() + ahead });
  });
  beforeEach(() => {
    s3 = under.s3(under.endpoint.operator);
    sent = counted(s3);
    repository = new ManifestRepository(s3, bucket);
  });
  afterAll(() => under.stop());
  const putAt = (Key: string, Body: string) => s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));

  test('are undefined until they are put, then the same bytes; one request each', async () => {
    const manifest = named(yaml);
    expect(await repository.read(manifest)).toBeUndefined();
    await repository.put(manifest, yaml);
    const read = await repository.read(manifest);
    expect(read && 'bytes' in read && Buffer.from(read.bytes).equals(yaml)).toBe(true);
    expect(sent).toEqual(['GetObject', 'PutObject', 'GetObject']);
  });

  test('keep former digests beside the new one, release by release; one LIST', async () => {
    const [old, fresh, other] = ['old', 'fresh', 'other'].map((text) => Buffer.from(text));
    if (!old || !fresh || !other) throw new Error('three texts');
    await repository.put(named(old, 'tigera-operator.yaml', 'v3.31.7'), old);
    await repository.put(named(fresh, 'tigera-operator.yaml', 'v3.31.7'), fresh);
    await repository.put(named(other, 'tigera-operator.yaml', 'v3.31.70'), other);
    sent.length = 0;
    expect(await repository.mirrored('v3.31.7')).toEqual(new Set([digest(old), digest(fresh)]));
    expect(await repository.mirrored('v3.30.7')).toEqual(new Set());
    expect(sent).toEqual(['ListObjectsV2', 'ListObjectsV2']);
  });

  test('are listed to the last page', async () => {
    const digests = Array.from({ length: 1_003 }, (_, n) => digest(Buffer.from(String(n))));
    for (let from = 0; from < digests.length; from += 100) {
      const some = digests.slice(from, from + 100);
      await Promise.all(some.map((sha256) => putAt(`releases/v3.1.0/${sha256}/a.yaml`, 'x')));
    }
    expect(await repository.mirrored('v3.1.0')).toEqual(new Set(digests));
  }, 30_000);

  test('a content that is not what its name says is refused by S3 itself, and nothing is kept', async () => {
    const manifest = named(yaml, 'operator-crds.yaml', 'v3.30.7');
    await expect(repository.put(manifest, Buffer.from('kind: Nothing\n'))).rejects.toMatchObject({
      name: 'BadDigest',
    });
    expect(await repository.read(manifest)).toBeUndefined();
  });

  test('what is there is never written over: putting it again changes nothing and is no error', async () => {
    const manifest = named(yaml, 'operator-crds.yaml', 'v3.29.0');
    await repository.put(manifest, yaml);
    const written = async () =>
      (await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: manifestKey(manifest) }))).LastModified;
    const first = await written();
    ahead = 60_000;
    await Promise.all([repository.put(manifest, yaml), repository.put(manifest, yaml)]);
    ahead = 0;
    expect(first).toBeInstanceOf(Date);
    expect(await written()).toEqual(first);
  });

  test('are put again when S3 says that another one is being put at this moment, three times at most', async () => {
    const manifest = named(yaml, 'operator-crds.yaml', 'v3.28.0');
    let conflicts = 2;
    const conflict = Object.assign(new Error('conflict'), { name: 'ConditionalRequestConflict' });
    s3.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          if (commandName !== 'PutObjectCommand' || conflicts === 0) return next(args);
          conflicts -= 1;
          return Promise.reject(conflict);
        },
      { step: 'initialize', priority: 'low' },
    );
    await repository.put(manifest, yaml);
    expect(await repository.read(manifest)).toBeDefined();
    conflicts = 3;
    await expect(repository.put(manifest, yaml)).rejects.toBe(conflict);
    expect(conflicts).toBe(0);
  });

  test('too large for an answer of Lambda, is a URL that gives the bytes to everyone for five minutes', async () => {
    const large = Buffer.alloc(4_500_001, '# a comment\n');
    const manifest = named(large, 'operator-crds.yaml', 'v3.33.0');
    await repository.put(manifest, large);
    const read = await repository.read(manifest);
    if (!read || !('url' in read)) throw new Error('no URL');
    expect(new URL(read.url).searchParams.get('X-Amz-Expires')).toBe('300');
    const answer = await fetch(read.url);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/yaml']);
    expect(digest(Buffer.from(await answer.arrayBuffer()))).toBe(manifest.sha256);
    ahead = 301_000;
    expect((await fetch(read.url)).status).toBe(403);
    ahead = 0;
    const elsewhere = read.url.replace('operator-crds.yaml', 'tigera-operator.yaml');
    expect((await fetch(elsewhere)).status).toBe(403);
  });

  test('one byte less is answered whole', async () => {
    const fitting = Buffer.alloc(4_500_000, '# a comment\n');
    const manifest = named(fitting, 'operator-crds.yaml', 'v3.33.0');
    await repository.put(manifest, fitting);
    const read = await repository.read(manifest);
    expect(read && 'bytes' in read && read.bytes.length).toBe(4_500_000);
  });

  test('errors of S3 are errors, not manifests that are lacking', async () => {
    const elsewhere = new ManifestRepository(s3, 'no-such-bucket');
    await expect(elsewhere.read(named(yaml))).rejects.toMatchObject({ name: 'NoSuchBucket' });
    await expect(elsewhere.mirrored('v3.32.1')).rejects.toMatchObject({ name: 'NoSuchBucket' });
  });
});
