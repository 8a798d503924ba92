import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import type { AccessRuleRequest } from './access-rule-schema.ts';

/** An access rule as the tenant table keeps it. */
export type AccessRule = AccessRuleRequest & {
  readonly ruleId: string;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** The principal who made it. */
  readonly createdBy: string;
};

/** Item key of one rule in its tenant's partition. */
export const accessRuleKey = (tenantId: string, ruleId: string) => ({
  pk: tenantPartition(tenantId, 'ACCESS_RULES'),
  sk: ruleId,
});

export function accessRuleOf(item: Record<string, unknown>): AccessRule {
  const { pk: _pk, sk: _sk, ...rule } = item;
  return rule as AccessRule;
}

/** Reads a tenant's access rules as that tenant; the writes are functions/registration's. */
export class AccessRuleRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /**
   * All of a tenant's rules, strongly consistent, in the order of their IDs.
   * Units: 1 read per 4 KB (some 10 rules), 1 read when there are none.
   */
  async all(tenantId: string): Promise<AccessRule[]> {
    const rules: AccessRule[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, 'ACCESS_RULES') },
          ConsistentRead: true,
          ...(start ? { ExclusiveStartKey: start } : {}),
        }),
      );
      rules.push(...Items.map(accessRuleOf));
      start = LastEvaluatedKey;
    } while (start);
    return rules;
  }
}
