import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { writeAll } from '../aws/batches.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import type { VerdictChange } from './scanned-image.ts';

/**
 * How the verdicts of a tenant's images have changed, as uploads saw it: an item for each change, which never changes, and goes
 * as long after the change as an image without further reports does. Units: `keep` 1 write for each, `list` half a read per 4 KB (some 20 changes).
 */
export class ImageHistoryRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** Stores changes of an image, each for so long; the same ones again, by whichever upload, are the same items. */
  async keep(
    tenantId: string,
    digest: string,
    changes: readonly VerdictChange[],
    keptMs: number,
  ): Promise<void> {
    await writeAll(
      this.#access(tenantId).dynamo,
      this.#table,
      [...new Map(changes.map((change) => [positionOf(change), change]))].map(([position, change]) => ({
        PutRequest: {
          Item: {
            pk: partition(tenantId),
            sk: `${digest}#${position}`,
            ...change,
            expiresAt: Math.ceil((change.at + keptMs) / 1000),
          },
        },
      })),
    );
  }

  /** An image's changes, newest first; `after`: the `next` of the page before. */
  async list(
    tenantId: string,
    digest: string,
    { limit, after }: { readonly limit: number; readonly after: string | undefined },
  ): Promise<{ readonly changes: readonly VerdictChange[]; readonly next?: string }> {
    const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :of)',
        ExpressionAttributeValues: { ':pk': partition(tenantId), ':of': `${digest}#` },
        ScanIndexForward: false,
        Limit: limit,
        ...(after === undefined
          ? {}
          : { ExclusiveStartKey: { pk: partition(tenantId), sk: `${digest}#${after}` } }),
      }),
    );
    const next = LastEvaluatedKey?.sk as string | undefined;
    return {
      changes: Items.map(changeOf),
      ...(next === undefined ? {} : { next: next.slice(digest.length + 1) }),
    };
  }
}

const partition = (tenantId: string) => tenantPartition(tenantId, 'IMAGE_HISTORY');

/** One upload sees at most two changes: what others or time had done before, then its own. */
const positionOf = ({ at, cause }: VerdictChange): string =>
  `${String(at).padStart(15, '0')}#${cause === 'scan' ? 1 : 0}`;

function changeOf(item: Record<string, unknown>): VerdictChange {
  const { pk: _pk, sk: _sk, expiresAt: _expiresAt, ...change } = item;
  return change as VerdictChange;
}
