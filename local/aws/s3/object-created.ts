import { randomUUID } from 'node:crypto';
import type { ObjectVersion } from './object-file.ts';

/** What EventBridge is told of an object that was put (EventBridge's "Object Created" of aws.s3, version 0). */
export const objectCreated = (
  bucket: string,
  { key, size, etag, versionId, sequence, lastModified }: ObjectVersion,
  about: { readonly accountId: string; readonly region: string; readonly requestId: string },
): Readonly<Record<string, unknown>> => ({
  version: '0',
  id: randomUUID(),
  'detail-type': 'Object Created',
  source: 'aws.s3',
  account: about.accountId,
  time: new Date(lastModified).toISOString().replace(/\.\d+Z$/, 'Z'),
  region: about.region,
  resources: [`arn:aws:s3:::${bucket}`],
  detail: {
    version: '0',
    bucket: { name: bucket },
    object: {
      key,
      size,
      etag,
      'version-id': versionId,
      sequencer: sequence.toString(16).padStart(18, '0').toUpperCase(),
    },
    'request-id': about.requestId,
    requester: about.accountId,
    'source-ip-address': '127.0.0.1',
    reason: 'PutObject',
  },
});
