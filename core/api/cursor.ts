import { createHash, timingSafeEqual } from 'node:crypto';
import { Problem } from '../problem/problem.ts';

/** DynamoDB's own limit: a longer key would be the database's error instead of the client's. */
const maxSortKeyBytes = 1_024;

/**
 * Opaque position in a list: the sort key of the last item, bound to the tenant and the list by a digest, so that a
 * cursor of another tenant or list is refused (INVALID_CURSOR). It grants nothing: the partition comes from the
 * verified tenant, never from the cursor.
 */
export function encodeCursor(tenantId: string, list: string, sortKey: string): string {
  return Buffer.concat([binding(tenantId, list, sortKey), Buffer.from(sortKey)]).toString('base64url');
}

/** The sort key after which the page begins; undefined for the first page. */
export function decodeCursor(tenantId: string, list: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const bytes = Buffer.from(cursor, 'base64url');
  const sortKey = bytes.subarray(12).toString('utf8');
  if (
    bytes.length <= 12 ||
    bytes.length > 12 + maxSortKeyBytes ||
    !timingSafeEqual(bytes.subarray(0, 12), binding(tenantId, list, sortKey))
  ) {
    throw new Problem('INVALID_CURSOR');
  }
  return sortKey;
}

const binding = (tenantId: string, list: string, sortKey: string): Buffer =>
  createHash('sha256').update(`${tenantId}\n${list}\n${sortKey}`).digest().subarray(0, 12);
