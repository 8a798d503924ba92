import type { IncomingHttpHeaders } from 'node:http';
import { AwsError, notServed } from '../aws-error.ts';
import type { AwsCall } from '../aws-call.ts';

export type S3Operation =
  | 'ListBuckets'
  | 'ListObjectsV2'
  | 'HeadBucket'
  | 'GetBucketLocation'
  | 'DeleteObjects'
  | 'PutObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject';

/** Query parameters that select a part of an operation, not another operation. */
const plainParameters =
  /^(x-id|versionId|list-type|prefix|delimiter|max-keys|start-after|continuation-token|encoding-type|fetch-owner|location|delete|response-.+|X-Amz-.+|x-amz-checksum-mode)$/i;
const otherHeaders = [
  'x-amz-copy-source',
  'x-amz-tagging',
  'x-amz-object-lock-mode',
  'x-amz-website-redirect-location',
  'x-amz-server-side-encryption-customer-algorithm',
];
/** Bytes of UTF-8. */
const maxKeyBytes = 1_024;

/** Path-style addressing: `/bucket/key`. Throws for what the stand-in does not serve, rather than do something else. */
export function readS3Request(call: AwsCall): { operation: S3Operation; bucket: string; key: string } {
  const path = call.rawPath.slice(1);
  const slash = path.indexOf('/');
  const bucket = decode(slash < 0 ? path : path.slice(0, slash));
  const key = decode(slash < 0 ? '' : path.slice(slash + 1));
  if (Buffer.byteLength(key) > maxKeyBytes) throw new AwsError('KeyTooLongError', 'Your key is too long');
  const { method, query } = call;
  for (const name of query.keys()) {
    if (!plainParameters.test(name)) throw notServed('s3', `${method} ?${name}`);
  }
  for (const name of otherHeaders) {
    if (call.request.headers[name] !== undefined) throw notServed('s3', name);
  }
  return { operation: operationOf(method, query, bucket, key), bucket, key };
}

function operationOf(method: string, query: URLSearchParams, bucket: string, key: string): S3Operation {
  if (key !== '') {
    const operation = (
      { PUT: 'PutObject', GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' } as Record<
        string,
        S3Operation | undefined
      >
    )[method];
    if (operation) return operation;
  } else if (bucket === '') {
    if (method === 'GET') return 'ListBuckets';
  } else if (method === 'HEAD') return 'HeadBucket';
  else if (method === 'GET' && query.has('location')) return 'GetBucketLocation';
  else if (method === 'GET' && query.get('list-type') === '2') return 'ListObjectsV2';
  else if (method === 'POST' && query.has('delete')) return 'DeleteObjects';
  throw notServed('s3', `${method} ${key === '' ? 'of a bucket' : 'of an object'}`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new AwsError('InvalidURI', "Couldn't parse the specified URI.");
  }
}

const storedHeaders = ['content-type', 'cache-control', 'content-disposition', 'content-language', 'expires'];

/** The headers that an object keeps and gives back. `aws-chunked` is a coding of the transfer, not of the object. */
export function keptHeaders(headers: IncomingHttpHeaders): {
  headers: Record<string, string>;
  metadata: Record<string, string>;
} {
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') continue;
    if (storedHeaders.includes(name)) kept[name] = value;
    if (name.startsWith('x-amz-meta-')) metadata[name.slice('x-amz-meta-'.length)] = value;
  }
  const coding = (headers['content-encoding'] ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '' && one !== 'aws-chunked')
    .join(',');
  if (coding) kept['content-encoding'] = coding;
  return { headers: kept, metadata };
}
