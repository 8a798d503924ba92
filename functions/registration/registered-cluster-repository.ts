import { GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Page, PageQuery } from '../../core/api/page.ts';
import { conditionFailed, ifHolds } from '../../core/aws/dynamodb-errors.ts';
import { clusterKey, clusterOf, type ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { ClusterFacts } from '../../core/cluster/cluster-schema.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantList } from '../../core/tenant/tenant-list.ts';

/** What the table says of a cluster ID. `gone`: disconnected, or about to be. */
export type ClusterStanding =
  | { readonly kind: 'absent' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'live'; readonly record: ClusterRecord };

/** A tombstone outlives every token that could register its cluster again (24 h), by an hour. */
const tombstoneMs = 25 * 3_600_000;

/**
 * The writing side of a tenant's clusters. A cluster is disconnected in two steps, `closingAt` first and the
 * tombstone last, so that a registration under way notices and a disconnection that stopped half-way can be found.
 * Units: `standing` 1 read; `list` 1 read per 4 KB; `putOnce` 1 write per KB (2 to 3), and 1 read when it is there;
 * `changeSettings`, `changeVersions`, `beginDisconnect` and `endDisconnect` 1 write per KB (2 to 3).
 */
export class RegisteredClusterRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async standing(tenantId: string, clusterId: string): Promise<ClusterStanding> {
    const Item = await this.#get(tenantId, clusterId);
    if (!Item) return { kind: 'absent' };
    const record = clusterOf(Item);
    return record && Item.closingAt === undefined ? { kind: 'live', record } : { kind: 'gone' };
  }

  /** Stores the cluster unless there is one by that ID: how that one stands. */
  async putOnce(tenantId: string, record: ClusterRecord): Promise<ClusterStanding> {
    try {
      await this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...clusterKey(tenantId, record.clusterId), ...record },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      );
      return { kind: 'live', record };
    } catch (error) {
      if (!conditionFailed(error)) throw error;
      return this.standing(tenantId, record.clusterId);
    }
  }

  list(tenantId: string, query: PageQuery): Promise<Page<ClusterRecord>> {
    const { dynamo } = this.#access(tenantId);
    const entryOf = clusterOf;
    return tenantList({ dynamo, table: this.#table, tenantId, collection: 'CLUSTERS', query, entryOf });
  }

  /** Undefined when there is no such cluster, or not for long. */
  async changeSettings(
    tenantId: string,
    clusterId: string,
    { impersonation }: { readonly impersonation: boolean },
  ): Promise<ClusterRecord | undefined> {
    try {
      const { Attributes } = await this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: clusterKey(tenantId, clusterId),
          UpdateExpression: 'SET impersonation = :impersonation',
          ConditionExpression:
            'attribute_exists(pk) AND attribute_not_exists(disconnectedAt) AND attribute_not_exists(closingAt)',
          ExpressionAttributeValues: { ':impersonation': impersonation },
          ReturnValues: 'ALL_NEW',
        }),
      );
      return clusterOf(Attributes);
    } catch (error) {
      if (conditionFailed(error)) return undefined;
      throw error;
    }
  }

  /** Writes what is known by now of the cluster's versions; nothing of a cluster that is gone, or not for long. */
  async changeVersions(
    tenantId: string,
    clusterId: string,
    { kubernetesVersion, calicoVersion }: Pick<ClusterFacts, 'kubernetesVersion' | 'calicoVersion'>,
  ): Promise<void> {
    await ifHolds(
      this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: clusterKey(tenantId, clusterId),
          UpdateExpression: 'SET facts.kubernetesVersion = :kubernetes, facts.calicoVersion = :calico',
          ConditionExpression:
            'attribute_exists(pk) AND attribute_not_exists(disconnectedAt) AND attribute_not_exists(closingAt)',
          ExpressionAttributeValues: { ':kubernetes': kubernetesVersion, ':calico': calicoVersion },
        }),
      ),
    );
  }

  /** Marks the cluster as about to go; undefined when there is none. Idempotent. `now`: epoch milliseconds. */
  async beginDisconnect(
    tenantId: string,
    clusterId: string,
    now: number,
  ): Promise<ClusterRecord | undefined> {
    try {
      const { Attributes } = await this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: clusterKey(tenantId, clusterId),
          UpdateExpression: 'SET closingAt = if_not_exists(closingAt, :now)',
          ConditionExpression: 'attribute_exists(pk) AND attribute_not_exists(disconnectedAt)',
          ExpressionAttributeValues: { ':now': now },
          ReturnValues: 'ALL_NEW',
        }),
      );
      return clusterOf(Attributes);
    } catch (error) {
      if (conditionFailed(error)) return undefined;
      throw error;
    }
  }

  /** The hash of a disconnected cluster's token, whose credential may still be there; undefined when there is no tombstone. */
  async tokenOfGone(tenantId: string, clusterId: string): Promise<string | undefined> {
    const Item = await this.#get(tenantId, clusterId);
    return Item?.disconnectedAt === undefined ? undefined : (Item.tokenHash as string | undefined);
  }

  /** Leaves a tombstone in the cluster's place. */
  async endDisconnect(
    tenantId: string,
    { clusterId, clusterName, tokenHash }: ClusterRecord,
    now: number,
  ): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          ...clusterKey(tenantId, clusterId),
          clusterId,
          clusterName,
          tokenHash,
          disconnectedAt: now,
          expiresAt: Math.ceil((now + tombstoneMs) / 1000),
        },
      }),
    );
  }

  async #get(tenantId: string, clusterId: string): Promise<Record<string, unknown> | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: clusterKey(tenantId, clusterId), ConsistentRead: true }),
    );
    return Item;
  }
}
