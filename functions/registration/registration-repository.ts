import { DeleteCommand, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import type { Registered } from '../../core/cluster/cluster-schema.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/** The public part of a registration's answer: the cluster token is derived, not stored (design.md 6). */
export type RegistrationAnswer = Omit<Registered, 'clusterToken'>;

/**
 * Answers to registrations, so that a lost one can be given again byte for byte while its token lives; TTL removes
 * them after that. Units: `find` 1 read per 4 KB, `putOnce` and `remove` 1 write per KB (about 6 with two roots).
 */
export class RegistrationRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async find(tenantId: string, clusterId: string): Promise<RegistrationAnswer | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ ...this.#at(tenantId, clusterId), ConsistentRead: true }),
    );
    return Item && answerOf(Item as RegistrationAnswer);
  }

  /** Stores the answer unless there is one: what it returns is the one that counts. `until`: epoch seconds. */
  async putOnce(tenantId: string, answer: RegistrationAnswer, until: number): Promise<RegistrationAnswer> {
    const { TableName, Key } = this.#at(tenantId, answer.clusterId);
    try {
      await this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName,
          Item: { ...Key, ...answer, expiresAt: until },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      );
      return answer;
    } catch (error) {
      if (!conditionFailed(error)) throw error;
      const stored = await this.find(tenantId, answer.clusterId);
      if (!stored) throw new Error('an answer that was there a moment ago is gone', { cause: error });
      return stored;
    }
  }

  async remove(tenantId: string, clusterId: string): Promise<void> {
    await this.#access(tenantId).dynamo.send(new DeleteCommand(this.#at(tenantId, clusterId)));
  }

  #at(tenantId: string, clusterId: string) {
    return { TableName: this.#table, Key: { pk: tenantPartition(tenantId, 'REGISTRATIONS'), sk: clusterId } };
  }
}

/** In the order in which it is answered: the same bytes each time. */
const answerOf = (item: RegistrationAnswer): RegistrationAnswer => ({
  clusterId: item.clusterId,
  clusterName: item.clusterName,
  certificate: item.certificate,
  trustBundle: item.trustBundle,
  logTrust: item.logTrust,
  tunnelAddress: item.tunnelAddress,
});
