import { DeleteCommand, GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Page, PageQuery } from '../../core/api/page.ts';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantList } from '../../core/tenant/tenant-list.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/** A registration token as its tenant sees it: never its text. */
export type RegistrationTokenRecord = {
  readonly tokenId: string;
  /** Hash of its text, which names its credential. */
  readonly hash: string;
  /** The only name that it may register. */
  readonly boundName?: string;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** The principal who made it. */
  readonly createdBy: string;
  /** Epoch milliseconds. */
  readonly validUntil: number;
  /** When its cluster was there, epoch milliseconds. */
  readonly spentAt?: number;
  readonly clusterId?: string;
  /** How often another key tried to use it once it was used. */
  readonly refusedUses: number;
};

/** How long a token stays in the list after its end. */
const remembered = 30 * 86_400;

/** The list of a tenant's registration tokens. Units: `find` 1 read, `list` 1 read per 4 KB, every other method 1 write. */
export class RegistrationTokenRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async put(tenantId: string, token: RegistrationTokenRecord): Promise<void> {
    const { TableName, Key } = this.#at(tenantId, token.tokenId);
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName,
        Item: { ...Key, ...token, expiresAt: Math.ceil(token.validUntil / 1000) + remembered },
        ConditionExpression: 'attribute_not_exists(pk)',
      }),
    );
  }

  async find(tenantId: string, tokenId: string): Promise<RegistrationTokenRecord | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ ...this.#at(tenantId, tokenId), ConsistentRead: true }),
    );
    return Item as RegistrationTokenRecord | undefined;
  }

  list(tenantId: string, query: PageQuery): Promise<Page<RegistrationTokenRecord>> {
    return tenantList({
      dynamo: this.#access(tenantId).dynamo,
      table: this.#table,
      tenantId,
      collection: 'REGISTRATION_TOKENS',
      query,
      entryOf: (item) => item as RegistrationTokenRecord,
    });
  }

  async remove(tenantId: string, tokenId: string): Promise<void> {
    await this.#access(tenantId).dynamo.send(new DeleteCommand(this.#at(tenantId, tokenId)));
  }

  /** Says which cluster came of it. Idempotent. `now`: epoch milliseconds. */
  markSpent(tenantId: string, tokenId: string, clusterId: string, now: number): Promise<void> {
    return this.#update(
      tenantId,
      tokenId,
      'SET spentAt = if_not_exists(spentAt, :now), clusterId = :cluster',
      {
        ':now': now,
        ':cluster': clusterId,
      },
    );
  }

  countRefusal(tenantId: string, tokenId: string): Promise<void> {
    return this.#update(tenantId, tokenId, 'ADD refusedUses :one', { ':one': 1 });
  }

  /** Changes the token if it is listed; TTL may have removed it, which loses nothing. */
  async #update(
    tenantId: string,
    tokenId: string,
    expression: string,
    values: Readonly<Record<string, string | number>>,
  ): Promise<void> {
    try {
      await this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          ...this.#at(tenantId, tokenId),
          UpdateExpression: expression,
          ConditionExpression: 'attribute_exists(pk)',
          ExpressionAttributeValues: values,
        }),
      );
    } catch (error) {
      if (!conditionFailed(error)) throw error;
    }
  }

  #at(tenantId: string, tokenId: string) {
    return {
      TableName: this.#table,
      Key: { pk: tenantPartition(tenantId, 'REGISTRATION_TOKENS'), sk: tokenId },
    };
  }
}
