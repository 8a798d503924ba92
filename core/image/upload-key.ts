import { tenantIdPattern } from '../tenant/identifier.ts';
import { tenantPrefix } from '../tenant/tenant-partition.ts';
import { uploadIdPattern, uploadsPrefix } from './scan-upload-schema.ts';

/** S3 key of an uploaded report: `uploads/tenant/t-…/u-…`. */
export const uploadKey = (tenantId: string, uploadId: string): string =>
  `${uploadsPrefix}${tenantPrefix(tenantId)}${uploadId}`;

/**
 * Whose upload a key is; undefined for any other. The tenant in it can be relied upon: only a session of that tenant can
 * sign a request that puts an object there (lib/image-scan.ts).
 */
export function uploadOf(key: string): { tenantId: string; uploadId: string } | undefined {
  const [prefix, tenant, tenantId = '', uploadId = '', ...more] = key.split('/');
  const ours = prefix === 'uploads' && tenant === 'tenant' && more.length === 0;
  if (!ours || !tenantIdPattern.test(tenantId) || !uploadIdPattern.test(uploadId)) return undefined;
  return { tenantId, uploadId };
}
