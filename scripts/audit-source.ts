import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { GetObjectCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { auditPrefix, parseAuditKey } from '../core/audit/audit-key.ts';
import type { TrailObject } from './audit-verification.ts';

export type TrailFilter = { readonly tenantId?: string; readonly date?: string };

/** The objects of a trail below a directory, as `aws s3 sync` left them there. Rejects when there is no such directory. */
export async function trailInDirectory(
  directory: string,
  { tenantId, date }: TrailFilter = {},
): Promise<readonly TrailObject[]> {
  const found = await stat(directory).catch(() => undefined);
  if (!found?.isDirectory()) throw new Error(`There is no directory ${directory}.`);
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.resolve(entry.parentPath, entry.name))
    .filter((file) => {
      const place = parseAuditKey(file.split(path.sep).join('/'));
      if (!place || (date !== undefined && place.date !== date)) return false;
      return tenantId === undefined || place.tenantId === undefined || place.tenantId === tenantId;
    })
    .sort()
    .map((file) => ({ key: path.relative(directory, file), read: () => readFile(file) }))
    .map(({ key, read }) => ({ key: key.split(path.sep).join('/'), read }));
}

/** The objects of a tenant's trail in the log bucket, of one day or of all. */
export async function trailInBucket(
  s3: S3Client,
  { bucket, tenantId, date }: { bucket: string; tenantId: string; date?: string },
): Promise<readonly TrailObject[]> {
  const found: TrailObject[] = [];
  const pages = paginateListObjectsV2(
    { client: s3 },
    { Bucket: bucket, Prefix: auditPrefix(tenantId, date) },
  );
  for await (const { Contents = [] } of pages) {
    for (const { Key } of Contents) {
      if (Key === undefined) continue;
      const read = async () => {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
        if (!Body) throw new Error(`${Key} has no body.`);
        return Body.transformToByteArray();
      };
      found.push({ key: Key, read });
    }
  }
  return found;
}
