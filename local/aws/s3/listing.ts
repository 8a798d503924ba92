import { AwsError } from '../aws-error.ts';
import { xmlDocument } from '../xml-text.ts';
import type { XmlNode } from '../xml-text.ts';
import type { Bucket } from './bucket.ts';
import { compareUtf8 } from './sorted-keys.ts';

export const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';
const pageLimit = 1_000;

/** The answer to ListObjectsV2: prefix, delimiter, max-keys, start-after, continuation-token, encoding-type. */
export function listObjects(bucket: Bucket, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const startAfter = query.get('start-after') ?? '';
  const token = query.get('continuation-token');
  const asked = Number(query.get('max-keys') ?? pageLimit);
  if (!Number.isInteger(asked) || asked < 0)
    throw new AwsError('InvalidArgument', 'max-keys must be a whole number from 0.');
  const limit = Math.min(asked, pageLimit);
  const encoded = query.get('encoding-type') === 'url';
  const shown = (text: string): string => (encoded ? encodeURIComponent(text).replaceAll('%2F', '/') : text);

  const contents: XmlNode[] = [];
  const prefixes: string[] = [];
  let after = token === null ? startAfter : decodeToken(token);
  let truncated = false;
  for (const key of bucket.keys(prefix, after)) {
    // A page that ended with a common prefix goes on behind all that it stands for.
    if (delimiter && after.endsWith(delimiter) && after.length > prefix.length && key.startsWith(after))
      continue;
    const cut = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
    const group = cut < 0 ? undefined : key.slice(0, cut + delimiter.length);
    if (group !== undefined && prefixes.at(-1) === group) continue;
    if (contents.length + prefixes.length >= limit) {
      truncated = limit > 0;
      break;
    }
    if (group !== undefined) {
      prefixes.push(group);
      after = group;
      continue;
    }
    const version = bucket.current(key);
    if (!version) continue;
    contents.push({
      Key: shown(key),
      LastModified: new Date(version.lastModified).toISOString(),
      ETag: `"${version.etag}"`,
      Size: version.size,
      StorageClass: 'STANDARD',
    });
    after = key;
  }
  return xmlDocument('ListBucketResult', s3Namespace, {
    Name: bucket.name,
    Prefix: shown(prefix),
    Delimiter: delimiter ? shown(delimiter) : undefined,
    StartAfter: startAfter ? shown(startAfter) : undefined,
    ContinuationToken: token ?? undefined,
    EncodingType: encoded ? 'url' : undefined,
    MaxKeys: limit,
    KeyCount: contents.length + prefixes.length,
    IsTruncated: truncated,
    NextContinuationToken: truncated ? Buffer.from(after).toString('base64url') : undefined,
    Contents: contents,
    CommonPrefixes: prefixes.sort(compareUtf8).map((group) => ({ Prefix: shown(group) })),
  });
}

function decodeToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (Buffer.from(text).toString('base64url') !== token) {
    throw new AwsError('InvalidArgument', 'The continuation token provided is incorrect');
  }
  return text;
}
