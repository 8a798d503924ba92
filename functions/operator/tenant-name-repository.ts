import { type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';

/** Partition of a tenant's name in the identities table. */
export const tenantNamePartition = (name: string) => `TENANT_NAME#${name}`;

const sk = 'IDENTITY';

/** The operator's names of tenants: what makes the creation of one idempotent. Units: `find` 1 read; `claim` 1 write, and 1 read when it is taken. */
export class TenantNameRepository {
  readonly #dynamo: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(dynamo: DynamoDBDocumentClient, identitiesTable: string) {
    this.#dynamo = dynamo;
    this.#table = identitiesTable;
  }

  async find(name: string): Promise<string | undefined> {
    const { Item } = await this.#dynamo.send(
      new GetCommand({
        TableName: this.#table,
        Key: { pk: tenantNamePartition(name), sk },
        ConsistentRead: true,
      }),
    );
    return Item?.tenantId as string | undefined;
  }

  /** Gives the name to the tenant unless it has one: the tenant that has it. */
  async claim(name: string, tenantId: string): Promise<string> {
    try {
      await this.#dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { pk: tenantNamePartition(name), sk, tenantId },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      );
      return tenantId;
    } catch (error) {
      if (!conditionFailed(error)) throw error;
      const holder = await this.find(name);
      if (holder === undefined)
        throw new Error('a name that was there a moment ago is gone', { cause: error });
      return holder;
    }
  }
}
