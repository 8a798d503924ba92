import { DeleteCommand, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { Page, PageQuery } from '../../core/api/page.ts';
import type { Scope } from '../../core/credential/scope.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantList } from '../../core/tenant/tenant-list.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/** An API key as its tenant sees it: never its text. */
export type ApiKeyRecord = {
  readonly keyId: string;
  /** Hash of its text, which names its credential. */
  readonly hash: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** The principal who made it. */
  readonly createdBy: string;
  /** Epoch milliseconds. */
  readonly validUntil: number;
};

/** How long a key stays in the list after its end, in seconds. */
const remembered = 30 * 86_400;

/** The list of a tenant's API keys. Units: `find` 1 read, `list` 1 read per 4 KB, every other method 1 write. */
export class ApiKeyRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async put(tenantId: string, key: ApiKeyRecord): Promise<void> {
    const { TableName, Key } = this.#at(tenantId, key.keyId);
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName,
        Item: { ...Key, ...key, expiresAt: Math.ceil(key.validUntil / 1000) + remembered },
        ConditionExpression: 'attribute_not_exists(pk)',
      }),
    );
  }

  async find(tenantId: string, keyId: string): Promise<ApiKeyRecord | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ ...this.#at(tenantId, keyId), ConsistentRead: true }),
    );
    return Item as ApiKeyRecord | undefined;
  }

  list(tenantId: string, query: PageQuery): Promise<Page<ApiKeyRecord>> {
    return tenantList({
      dynamo: this.#access(tenantId).dynamo,
      table: this.#table,
      tenantId,
      collection: 'API_KEYS',
      query,
      entryOf: (item) => item as ApiKeyRecord,
    });
  }

  /** Idempotent. */
  async remove(tenantId: string, keyId: string): Promise<void> {
    await this.#access(tenantId).dynamo.send(new DeleteCommand(this.#at(tenantId, keyId)));
  }

  #at(tenantId: string, keyId: string) {
    return { TableName: this.#table, Key: { pk: tenantPartition(tenantId, 'API_KEYS'), sk: keyId } };
  }
}
