import {
  DeleteCommand,
  GetCommand,
  PutCommand,
  type PutCommandInput,
  QueryCommand,
} from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../../core/aws/dynamodb-errors.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';
import type { HourCount } from './hour-count.ts';
import type { Attempt } from './progress-states.ts';

/** What a cluster has reported: the attempt that began last, and which came before it. */
export type ProgressRecord = {
  /** Counts the writes, from 1: a write names the one that it has seen. */
  readonly version: number;
  readonly current: Attempt;
  /** Names of the attempts before, newest first; some more than are kept, so that none of them begins anew. */
  readonly older: readonly string[];
  /** Attempts that began. */
  readonly hour: HourCount;
};

/** An attempt that another one has followed. */
export type OlderAttempt = { readonly version: number; readonly attempt: Attempt };

/** A live cluster renews its certificate within 398 days, and reports that: what it says last stays as long as it lives. */
const keptMs = 400 * 86_400_000;

/**
 * Reports of installers as the tenant's items: one of the cluster, with its current attempt, and one of each older
 * attempt. They go 400 days after their last report. Every write is conditional on what was read.
 * Units: `find` and `findOlder` 1 read per 4 KB (`find` half of it when not consistent), `listOlder` 1 read per 4 KB of
 * all, `put`, `copyOlder`, `putOlder` and `removeOlder` 1 write per KB.
 */
export class ProgressRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** `consistent: false` may miss what was written within the last second, for half of the price. */
  async find(
    tenantId: string,
    clusterId: string,
    { consistent = true } = {},
  ): Promise<ProgressRecord | undefined> {
    const item = await this.#get(tenantId, clusterId, consistent);
    return item && (withoutKeys(item) as ProgressRecord);
  }

  /** Stores the record in the place of the version before; false when that is not there any more. `now`: epoch ms. */
  put(tenantId: string, clusterId: string, record: ProgressRecord, now: number): Promise<boolean> {
    return this.#putVersion(tenantId, clusterId, record, now);
  }

  async findOlder(tenantId: string, clusterId: string, attempt: string): Promise<OlderAttempt | undefined> {
    const item = await this.#get(tenantId, `${clusterId}#${attempt}`, true);
    return item && (withoutKeys(item) as OlderAttempt);
  }

  /** Copies an attempt that another one is about to follow, unless it was copied as of this version, or a later one. */
  async copyOlder(tenantId: string, clusterId: string, older: OlderAttempt, now: number): Promise<void> {
    await this.#put(tenantId, `${clusterId}#${older.attempt.attempt}`, older, now, {
      ConditionExpression: 'attribute_not_exists(pk) OR version < :version',
      ExpressionAttributeValues: { ':version': older.version },
    });
  }

  /** As `put`. */
  putOlder(tenantId: string, clusterId: string, older: OlderAttempt, now: number): Promise<boolean> {
    return this.#putVersion(tenantId, `${clusterId}#${older.attempt.attempt}`, older, now);
  }

  /** In no order that means anything. */
  async listOlder(tenantId: string, clusterId: string): Promise<Attempt[]> {
    const attempts: Attempt[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
          ExpressionAttributeValues: {
            ':pk': tenantPartition(tenantId, 'PROGRESS'),
            ':sk': `${clusterId}#`,
          },
          ConsistentRead: true,
          ...(start ? { ExclusiveStartKey: start } : {}),
        }),
      );
      attempts.push(...Items.map((item) => (item as OlderAttempt).attempt));
      start = LastEvaluatedKey;
    } while (start);
    return attempts;
  }

  /** Idempotent. */
  async removeOlder(tenantId: string, clusterId: string, attempt: string): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new DeleteCommand({ TableName: this.#table, Key: keyOf(tenantId, `${clusterId}#${attempt}`) }),
    );
  }

  async #get(
    tenantId: string,
    sk: string,
    ConsistentRead: boolean,
  ): Promise<Record<string, unknown> | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: keyOf(tenantId, sk), ConsistentRead }),
    );
    return Item;
  }

  #putVersion(
    tenantId: string,
    sk: string,
    item: { readonly version: number },
    now: number,
  ): Promise<boolean> {
    const condition =
      item.version === 1
        ? { ConditionExpression: 'attribute_not_exists(pk)' }
        : {
            ConditionExpression: 'version = :before',
            ExpressionAttributeValues: { ':before': item.version - 1 },
          };
    return this.#put(tenantId, sk, item, now, condition);
  }

  #put(
    tenantId: string,
    sk: string,
    item: object,
    now: number,
    condition: Pick<PutCommandInput, 'ConditionExpression' | 'ExpressionAttributeValues'>,
  ): Promise<boolean> {
    return ifHolds(
      this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...keyOf(tenantId, sk), ...item, expiresAt: Math.ceil((now + keptMs) / 1000) },
          ...condition,
        }),
      ),
    );
  }
}

const keyOf = (tenantId: string, sk: string) => ({ pk: tenantPartition(tenantId, 'PROGRESS'), sk });

function withoutKeys(item: Record<string, unknown>): Record<string, unknown> {
  const { pk: _pk, sk: _sk, expiresAt: _expiresAt, ...rest } = item;
  return rest;
}
