import { PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import type { ImageAliases, SeverityCounts } from '../../core/image/image-schema.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';
import { decodeEvidence, encodeEvidence, type Evidence } from './evidence.ts';

/** The latest result of one scanner about an image, without a verdict: that follows the policy of the moment. */
export type ImageRecord = {
  /** `sha256:…` of the image. */
  readonly digest: string;
  readonly scanId: string;
  /** When the scan was made, epoch milliseconds. */
  readonly scannedAt: number;
  /** Name and version. */
  readonly scanner: string;
  /** Its name alone: each scanner has a result of its own. */
  readonly scannerName: string;
  /** When the scanner's database was made, epoch milliseconds. */
  readonly databaseAt?: number;
  readonly image?: string;
  readonly aliases: ImageAliases;
  readonly counts: SeverityCounts;
  readonly evidence: Evidence;
  /** Key of the report in the scan bucket. */
  readonly reportKey: string;
};

/**
 * The images of a tenant, in its IMAGES partition, one item for each digest and scanner (1–200 KB; with 50 findings about
 * 3 KB), so that what one scanner finds is not replaced by what another does not. Units: `keepLatest` 1 write per KB,
 * `find` 1 read per 4 KB of all scanners' items (strongly consistent), `list` half of that per item.
 */
export class ImageRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /**
   * Stores the record unless a newer scan's of the same scanner is there (false). One whole item, one condition: of racing uploads the
   * newest scan stays, of equally old ones the last. The same record again changes nothing.
   */
  async keepLatest(tenantId: string, { evidence, ...record }: ImageRecord): Promise<boolean> {
    try {
      await this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...resultKey(tenantId, record), ...record, evidence: encodeEvidence(evidence) },
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

  /** The results of all scanners about an image; none for an image that is not known. */
  async find(tenantId: string, digest: string): Promise<readonly ImageRecord[]> {
    const { Items = [] } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :of)',
        ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, 'IMAGES'), ':of': ofDigest(digest) },
        ConsistentRead: true,
      }),
    );
    return Items.map(recordOf);
  }

  /**
   * Images in the order of their digests, after one of them, each with the results of all its scanners, from up to
   * `limit` results; DynamoDB ends a page at 1 MB too: then `more`. There is at least one image if there is `more`.
   */
  async list(
    tenantId: string,
    { limit, after }: { limit: number; after: string | undefined },
  ): Promise<{ images: readonly (readonly ImageRecord[])[]; more: boolean }> {
    const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: after === undefined ? 'pk = :pk' : 'pk = :pk AND sk > :after',
        ExpressionAttributeValues: {
          ':pk': tenantPartition(tenantId, 'IMAGES'),
          ...(after === undefined ? {} : { ':after': afterAll(after) }),
        },
        Limit: limit,
      }),
    );
    const images = byDigest(Items.map(recordOf));
    if (LastEvaluatedKey === undefined) return { images, more: false };
    // The last image's other results may be on the next page, which begins with it.
    const last = images.pop();
    if (images.length === 0 && last?.[0]) images.push(await this.find(tenantId, last[0].digest));
    return { images, more: true };
  }
}

const ofDigest = (digest: string) => `${digest}#`;
/** Behind every result of the image: `$` follows `#`. */
const afterAll = (digest: string) => `${digest}$`;

const resultKey = (
  tenantId: string,
  { digest, scannerName }: Pick<ImageRecord, 'digest' | 'scannerName'>,
) => ({
  pk: tenantPartition(tenantId, 'IMAGES'),
  sk: `${ofDigest(digest)}${scannerName}`,
});

function byDigest(records: readonly ImageRecord[]): (readonly ImageRecord[])[] {
  const images = new Map<string, ImageRecord[]>();
  for (const record of records) {
    const others = images.get(record.digest);
    if (others) others.push(record);
    else images.set(record.digest, [record]);
  }
  return [...images.values()];
}

function recordOf(item: Record<string, unknown>): ImageRecord {
  const { pk: _pk, sk: _sk, evidence, ...record } = item;
  return {
    ...(record as Omit<ImageRecord, 'evidence'>),
    evidence: decodeEvidence(evidence as Uint8Array),
  };
}
