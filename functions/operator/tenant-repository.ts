import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/** Tenants themselves, as part of their own data. */
export class TenantRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** Idempotent: a tenant stays as it was first made. `createdAt`: epoch milliseconds. Units: 1 write. */
  async putOnce(tenantId: string, tenant: { name: string; createdAt: number }): Promise<void> {
    try {
      await this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { pk: tenantPartition(tenantId, 'TENANT'), sk: 'TENANT', ...tenant },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      );
    } catch (error) {
      if (!conditionFailed(error)) throw error;
    }
  }
}
