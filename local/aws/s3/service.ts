import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Answer, AwsCall, AwsService } from '../aws-call.ts';
import { AwsError, notServed } from '../aws-error.ts';
import { accessDenied } from '../iam/authoriser.ts';
import type { Access, Authoriser, Context } from '../iam/authoriser.ts';
import type { BucketSpec } from '../specs.ts';
import { xmlDocument, xmlElements } from '../xml-text.ts';
import type { XmlNode } from '../xml-text.ts';
import { Bucket } from './bucket.ts';
import type { WriteCondition } from './bucket.ts';
import { checksumHeaders, declaredChecksums } from './checksums.ts';
import { chunkedData } from './chunked-body.ts';
import { deleteObjects } from './delete-objects.ts';
import { listObjects, s3Namespace } from './listing.ts';
import { objectCreated } from './object-created.ts';
import type { ObjectVersion } from './object-file.ts';
import { byteRange, readCondition } from './reading.ts';
import { keptHeaders, readS3Request } from './request.ts';

const xml = (body: string): Answer => ({ status: 200, headers: { 'content-type': 'application/xml' }, body });
const objectArn = (bucket: Bucket, key: string): string => `arn:aws:s3:::${bucket.name}/${key}`;
const bucketArn = (bucket: Bucket): string => `arn:aws:s3:::${bucket.name}`;

/** S3 for the template's buckets, path style: whole objects, ranges, lists, conditional and presigned requests. */
export async function s3Service(options: {
  dataDir: string;
  buckets: readonly BucketSpec[];
  authoriser: Authoriser;
  now: () => number;
  region: string;
  accountId: string;
  /** Told of objects in buckets that announce theirs, once they are durable, before their sender is answered. */
  onObject?: (event: Readonly<Record<string, unknown>>) => void;
}): Promise<AwsService> {
  const { authoriser } = options;
  const buckets = new Map<string, Bucket>();
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  for (const spec of options.buckets) {
    if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(spec.name))
      throw new Error(`Not the name of a bucket: ${spec.name}`);
    buckets.set(spec.name, await Bucket.open(path.join(options.dataDir, spec.name), spec, options.now));
  }

  async function handle(call: AwsCall): Promise<Answer | undefined> {
    const asked = readS3Request(call);
    const require = (access: Access) => authoriser.require(call.caller, [access], accessDenied);
    if (asked.operation === 'ListBuckets') {
      await require({ action: 's3:ListAllMyBuckets', resource: '*' });
      const listed: XmlNode[] = [...buckets.keys()]
        .sort()
        .map((name) => ({ Name: name, CreationDate: new Date(0).toISOString() }));
      return xml(xmlDocument('ListAllMyBucketsResult', s3Namespace, { Buckets: { Bucket: listed } }));
    }
    const bucket = buckets.get(asked.bucket);
    if (!bucket)
      throw new AwsError('NoSuchBucket', 'The specified bucket does not exist', 404, {
        members: { BucketName: asked.bucket },
      });
    const { key } = asked;
    const versionId = call.query.get('versionId') ?? undefined;
    const onBucket = (action: string, context: Context = {}): Access => ({
      action,
      resource: bucketArn(bucket),
      context,
    });
    const onObject = (action: string, context: Context = {}): Access => ({
      action: versionId === undefined ? action : `${action}Version`,
      resource: objectArn(bucket, key),
      policyOf: bucketArn(bucket),
      context: { ...context, ...(versionId === undefined ? {} : { 's3:VersionId': versionId }) },
    });

    switch (asked.operation) {
      case 'HeadBucket':
        await require(onBucket('s3:ListBucket'));
        return { status: 200, headers: { 'x-amz-bucket-region': options.region } };
      case 'GetBucketLocation':
        await require(onBucket('s3:GetBucketLocation'));
        return xml(
          `<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="${s3Namespace}">${options.region}</LocationConstraint>`,
        );
      case 'ListObjectsV2':
        await require(onBucket('s3:ListBucket', listContext(call.query)));
        return xml(listObjects(bucket, call.query));
      case 'DeleteObjects':
        return xml(
          await deleteObjects(call, bucket, (name, version) =>
            authoriser.decide(call.caller, {
              action: version === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion',
              resource: objectArn(bucket, name),
              policyOf: bucketArn(bucket),
            }),
          ),
        );
      case 'DeleteObject': {
        await require(onObject('s3:DeleteObject'));
        const deleted = await bucket.delete(key, versionId);
        return {
          status: 204,
          headers: {
            ...(deleted.versionId === undefined ? {} : { 'x-amz-version-id': deleted.versionId }),
            ...(deleted.deleteMarker ? { 'x-amz-delete-marker': 'true' } : {}),
          },
        };
      }
      case 'PutObject':
        if (versionId !== undefined) throw notServed('s3', 'PUT ?versionId');
        await require(onObject('s3:PutObject', encryptionContext(call)));
        return put(call, bucket, key, (version) => {
          if (bucket.announces)
            options.onObject?.(
              objectCreated(bucket.name, version, { ...options, requestId: call.requestId }),
            );
        });
      case 'GetObject':
      case 'HeadObject': {
        await require(onObject('s3:GetObject'));
        const version = versionId === undefined ? bucket.current(key) : bucket.version(key, versionId);
        if (version && !version.deleteMarker) return read(call, bucket, version);
        // Who may not list the bucket must not learn which keys exist: S3 answers such callers 403 in place of 404.
        await require(onBucket('s3:ListBucket'));
        throw new AwsError(
          versionId === undefined ? 'NoSuchKey' : 'NoSuchVersion',
          'The specified key does not exist.',
          404,
          { members: { Key: key } },
        );
      }
    }
  }

  return { handle, failure: s3Failure };
}

async function put(
  call: AwsCall,
  bucket: Bucket,
  key: string,
  stored: (version: ObjectVersion) => void,
): Promise<Answer> {
  const { headers } = call.request;
  const streaming = call.payloadHash.startsWith('STREAMING-');
  if (streaming && call.payloadHash !== 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    throw notServed('s3', call.payloadHash);
  let trailers = new Map<string, string>();
  const size = headers[streaming ? 'x-amz-decoded-content-length' : 'content-length'];
  const version = await bucket.put({
    key,
    body: streaming ? chunkedData(call.request, (sent) => (trailers = sent)) : call.request,
    trailers: () => trailers,
    declared: declaredChecksums(headers, call.payloadHash),
    expectedSize: typeof size === 'string' ? Number(size) : undefined,
    ...keptHeaders(headers),
    condition: writeCondition(headers['if-none-match'], headers['if-match']),
  });
  stored(version);
  return {
    status: 200,
    headers: {
      etag: `"${version.etag}"`,
      ...checksumHeaders(version.checksums),
      ...(bucket.versioned ? { 'x-amz-version-id': version.versionId } : {}),
    },
  };
}

function writeCondition(ifNoneMatch: string | undefined, ifMatch: string | undefined): WriteCondition {
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*')
    throw notServed('s3', 'If-None-Match other than * on a PUT');
  return { ...(ifNoneMatch === '*' ? { ifNoneMatch } : {}), ...(ifMatch === undefined ? {} : { ifMatch }) };
}

/** GET and HEAD of one version. Writes the body itself, from disk. */
async function read(call: AwsCall, bucket: Bucket, version: ObjectVersion): Promise<Answer | undefined> {
  const { headers } = call.request;
  const base: Record<string, string | number> = {
    etag: `"${version.etag}"`,
    'last-modified': new Date(version.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
    ...(bucket.versioned ? { 'x-amz-version-id': version.versionId } : {}),
  };
  if (readCondition(headers, version) === 'not-modified') return { status: 304, headers: base };
  const span = byteRange(headers.range, version.size);
  const length = span ? span.end - span.start + 1 : version.size;
  const answer: Record<string, string | number> = {
    ...base,
    ...version.headers,
    ...Object.fromEntries(
      Object.entries(version.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]),
    ),
    // The checksum is the whole object's: beside a part of it, it would be wrong.
    ...(!span && headers['x-amz-checksum-mode'] === 'ENABLED' ? checksumHeaders(version.checksums) : {}),
    ...overrides(call.query),
    ...(span ? { 'content-range': `bytes ${span.start}-${span.end}/${version.size}` } : {}),
    'content-length': length,
  };
  const { response } = call;
  if (call.method === 'HEAD' || length === 0) {
    response.writeHead(span ? 206 : 200, answer).end();
    return undefined;
  }
  const file = await bucket.openBody(version);
  try {
    response.writeHead(span ? 206 : 200, answer);
    const start = span?.start ?? 0;
    await pipeline(file.createReadStream({ start, end: start + length - 1, autoClose: false }), response);
  } finally {
    await file.close();
  }
  return undefined;
}

/** `response-content-type=…` and the like, which a presigned URL may carry. */
const overrides = (query: URLSearchParams): Record<string, string> =>
  Object.fromEntries(
    [...query]
      .filter(([name]) =>
        /^response-(content-type|content-disposition|content-encoding|content-language|cache-control|expires)$/.test(
          name,
        ),
      )
      .map(([name, value]) => [name.slice('response-'.length), value]),
  );

/** A key is in the context only when the request has the parameter. */
function listContext(query: URLSearchParams): Context {
  const context: Context = {};
  for (const name of ['prefix', 'delimiter', 'max-keys']) {
    const value = query.get(name);
    if (value !== null) context[`s3:${name}`] = value;
  }
  return context;
}

function encryptionContext(call: AwsCall): Context {
  const context: Context = {};
  for (const name of [
    'x-amz-server-side-encryption',
    'x-amz-server-side-encryption-aws-kms-key-id',
    'x-amz-acl',
  ]) {
    const value = call.request.headers[name];
    if (typeof value === 'string') context[`s3:${name}`] = value;
  }
  return context;
}

export function s3Failure(error: AwsError, requestId: string): Answer {
  const code = error.code === 'InternalFailure' ? 'InternalError' : error.code;
  const members = Object.fromEntries(
    Object.entries(error.members).map(([name, value]) => [name, String(value)]),
  );
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml', ...error.headers },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n${xmlElements({
      Error: { Code: code, Message: error.message, ...members, RequestId: requestId },
    })}`,
  };
}
