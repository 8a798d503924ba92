import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { defaultImagePolicy, type ImagePolicy } from '../../core/image/image-schema.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/** The one image policy of a tenant. Units: `read` 1 read (strongly consistent: verdicts follow at once), `write` 1 write. */
export class ImagePolicyRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** The default policy until the tenant sets one. */
  async read(tenantId: string): Promise<ImagePolicy> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: policyKey(tenantId), ConsistentRead: true }),
    );
    return Item ? { warnAt: Number(Item.warnAt), failAt: Number(Item.failAt) } : defaultImagePolicy;
  }

  async write(tenantId: string, { warnAt, failAt }: ImagePolicy): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName: this.#table,
        // As text: JSON's numbers go below what DynamoDB's can hold (1e-130).
        Item: { ...policyKey(tenantId), warnAt: String(warnAt), failAt: String(failAt) },
      }),
    );
  }
}

const policyKey = (tenantId: string) => ({ pk: tenantPartition(tenantId, 'IMAGE_POLICY'), sk: 'POLICY' });
