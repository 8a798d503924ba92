import { tenantIdPattern } from './identifier.ts';

/** The collections of tenant data; each is one partition of the tenant table per tenant. */
export type TenantCollection =
  | 'TENANT'
  | 'CLUSTERS'
  | 'CLUSTER_NAMES'
  | 'REGISTRATIONS'
  | 'REGISTRATION_TOKENS'
  | 'API_KEYS'
  | 'ACCESS_RULES'
  | 'PROGRESS'
  | 'IMAGES'
  | 'IMAGE_NAMES'
  | 'IMAGE_CARDS'
  | 'IMAGE_FINDINGS'
  | 'IMAGE_HISTORY'
  | 'IMAGE_CHANGES'
  | 'IMAGE_POLICY'
  | 'ADMISSION_POLICY'
  | 'SCAN_UPLOADS';

/**
 * Partition key of a tenant's collection: `TENANT#t-…#COLLECTION`. The tenant role's policy matches
 * `TENANT#${aws:PrincipalTag/TenantId}#*` in `dynamodb:LeadingKeys`; the delimiter after the ID keeps one tenant's
 * prefix from being the beginning of another's.
 */
export function tenantPartition(tenantId: string, collection: TenantCollection): string {
  assertTenantId(tenantId);
  return `TENANT#${tenantId}#${collection}`;
}

/** S3 key prefix of a tenant, `tenant/t-…/`: the tenant role's policies match it. */
export function tenantPrefix(tenantId: string): string {
  assertTenantId(tenantId);
  return `tenant/${tenantId}/`;
}

function assertTenantId(tenantId: string): void {
  if (!tenantIdPattern.test(tenantId)) throw new TypeError('not a tenant ID');
}
