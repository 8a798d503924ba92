import { DeleteCommand, GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

type Reservation = {
  readonly tenantId: string;
  readonly clusterName: string;
  readonly clusterId: string;
};

/**
 * The names of a tenant's clusters. A name is reserved first, until the registration cannot be completed any more
 * (`expiresAt`, epoch seconds, is also what TTL removes it by), and kept once the cluster is there: an attempt that
 * nobody completes holds a name no longer than its token lives.
 * Units: `isFree` 1 read; `reserve` 1 write, and 1 read when it is not free; `keep` and `free` 1 write.
 */
export class ClusterNameRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async isFree(tenantId: string, clusterName: string, now: number): Promise<boolean> {
    const holder = await this.#holder(tenantId, clusterName);
    return !holder || (holder.expiresAt !== undefined && holder.expiresAt * 1000 < now);
  }

  /** True when the name is this cluster's now, or was before. */
  async reserve(
    { tenantId, clusterName, clusterId }: Reservation,
    until: number,
    now: number,
  ): Promise<boolean> {
    const { dynamo } = this.#access(tenantId);
    const reserved = await ifHolds(
      dynamo.send(
        new UpdateCommand({
          ...this.#at(tenantId, clusterName),
          UpdateExpression: 'SET clusterId = :cluster, expiresAt = :until',
          // Not `OR clusterId = :cluster`: that would take back a name that is kept.
          ConditionExpression: 'attribute_not_exists(pk) OR expiresAt < :now',
          ExpressionAttributeValues: {
            ':cluster': clusterId,
            ':until': until,
            ':now': Math.floor(now / 1000),
          },
        }),
      ),
    );
    return reserved || (await this.#holder(tenantId, clusterName))?.clusterId === clusterId;
  }

  /** Makes the reservation last; false when the name is not this cluster's. */
  keep({ tenantId, clusterName, clusterId }: Reservation): Promise<boolean> {
    const command = new UpdateCommand({
      ...this.#at(tenantId, clusterName),
      UpdateExpression: 'REMOVE expiresAt',
      ...heldBy(clusterId),
    });
    return ifHolds(this.#access(tenantId).dynamo.send(command));
  }

  /** Gives the name back, if it is this cluster's. Idempotent. */
  async free({ tenantId, clusterName, clusterId }: Reservation): Promise<void> {
    const command = new DeleteCommand({ ...this.#at(tenantId, clusterName), ...heldBy(clusterId) });
    await ifHolds(this.#access(tenantId).dynamo.send(command));
  }

  async #holder(
    tenantId: string,
    clusterName: string,
  ): Promise<{ clusterId: string; expiresAt?: number } | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ ...this.#at(tenantId, clusterName), ConsistentRead: true }),
    );
    return Item as { clusterId: string; expiresAt?: number } | undefined;
  }

  #at(tenantId: string, clusterName: string) {
    return {
      TableName: this.#table,
      Key: { pk: tenantPartition(tenantId, 'CLUSTER_NAMES'), sk: clusterName },
    };
  }
}

const heldBy = (clusterId: string) => ({
  ConditionExpression: 'clusterId = :cluster',
  ExpressionAttributeValues: { ':cluster': clusterId },
});

async function ifHolds(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (conditionFailed(error)) return false;
    throw error;
  }
}
