import { GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import type { SeverityCounts } from '../../core/image/image-schema.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';
import { decodeEvidence, encodeEvidence, type Evidence } from './evidence.ts';

/** The latest result of an image, without a verdict: that follows the policy of the moment. */
export type ImageRecord = {
  /** `sha256:…` of the image. */
  readonly digest: string;
  readonly scanId: string;
  /** When the scan was made, epoch milliseconds. */
  readonly scannedAt: number;
  readonly scanner: string;
  readonly image?: string;
  readonly counts: SeverityCounts;
  readonly evidence: Evidence;
  /** Key of the report in the scan bucket. */
  readonly reportKey: string;
};

/**
 * The images of a tenant, in its IMAGES partition, one item each (1–200 KB; with 50 findings about 3 KB).
 * Units: `keepLatest` 1 write per KB, `find` 1 read per 4 KB (strongly consistent), `list` half of that per item.
 */
export class ImageRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /**
   * Stores the record unless a newer scan's is there (false). One whole item, one condition: of racing uploads the
   * newest scan stays, of equally old ones the last. The same record again changes nothing.
   */
  async keepLatest(tenantId: string, { evidence, ...record }: ImageRecord): Promise<boolean> {
    try {
      await this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...imageKey(tenantId, record.digest), ...record, evidence: encodeEvidence(evidence) },
          ConditionExpression: 'attribute_not_exists(pk) OR scannedAt <= :scannedAt',
          ExpressionAttributeValues: { ':scannedAt': record.scannedAt },
        }),
      );
      return true;
    } catch (error) {
      if (conditionFailed(error)) return false;
      throw error;
    }
  }

  async find(tenantId: string, digest: string): Promise<ImageRecord | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: imageKey(tenantId, digest), ConsistentRead: true }),
    );
    return Item && recordOf(Item);
  }

  /** Up to `limit` images in the order of their digests, after one of them; DynamoDB ends a page at 1 MB too: then `more`. */
  async list(
    tenantId: string,
    { limit, after }: { limit: number; after: string | undefined },
  ): Promise<{ records: readonly ImageRecord[]; more: boolean }> {
    const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: after === undefined ? 'pk = :pk' : 'pk = :pk AND sk > :after',
        ExpressionAttributeValues: {
          ':pk': tenantPartition(tenantId, 'IMAGES'),
          ...(after === undefined ? {} : { ':after': after }),
        },
        Limit: limit,
      }),
    );
    return { records: Items.map(recordOf), more: LastEvaluatedKey !== undefined };
  }
}

const imageKey = (tenantId: string, digest: string) => ({
  pk: tenantPartition(tenantId, 'IMAGES'),
  sk: digest,
});

function recordOf(item: Record<string, unknown>): ImageRecord {
  const { pk: _pk, sk: _sk, evidence, ...record } = item;
  return {
    ...(record as Omit<ImageRecord, 'evidence'>),
    evidence: decodeEvidence(evidence as Uint8Array),
  };
}
