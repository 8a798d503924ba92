import { DeleteCommand, GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { type AccessRule, accessRuleKey, accessRuleOf } from '../../core/access/access-rule-repository.ts';
import type { Page, PageQuery } from '../../core/api/page.ts';
import { ifHolds } from '../../core/aws/dynamodb-errors.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantList } from '../../core/tenant/tenant-list.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/**
 * The writing side of a tenant's access rules; the access side reads them all at once (core/access).
 * Units: `put` 1 write per KB (at most 3); `find` 1 read; `list` and `count` 1 read per 4 KB; `remove` 1 write per KB.
 */
export class KeptAccessRuleRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async put(tenantId: string, rule: AccessRule): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName: this.#table,
        Item: { ...accessRuleKey(tenantId, rule.ruleId), ...rule },
        ConditionExpression: 'attribute_not_exists(pk)',
      }),
    );
  }

  async find(tenantId: string, ruleId: string): Promise<AccessRule | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({
        TableName: this.#table,
        Key: accessRuleKey(tenantId, ruleId),
        ConsistentRead: true,
      }),
    );
    return Item && accessRuleOf(Item);
  }

  list(tenantId: string, query: PageQuery): Promise<Page<AccessRule>> {
    return tenantList({
      dynamo: this.#access(tenantId).dynamo,
      table: this.#table,
      tenantId,
      collection: 'ACCESS_RULES',
      query,
      entryOf: accessRuleOf,
    });
  }

  async count(tenantId: string): Promise<number> {
    let count = 0;
    let start: Record<string, unknown> | undefined;
    do {
      const page = await this.#access(tenantId).dynamo.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, 'ACCESS_RULES') },
          Select: 'COUNT',
          ConsistentRead: true,
          ...(start ? { ExclusiveStartKey: start } : {}),
        }),
      );
      count += page.Count ?? 0;
      start = page.LastEvaluatedKey;
    } while (start);
    return count;
  }

  /** False when there is no such rule. */
  remove(tenantId: string, ruleId: string): Promise<boolean> {
    return ifHolds(
      this.#access(tenantId).dynamo.send(
        new DeleteCommand({
          TableName: this.#table,
          Key: accessRuleKey(tenantId, ruleId),
          ConditionExpression: 'attribute_exists(pk)',
        }),
      ),
    );
  }
}
