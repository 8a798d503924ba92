import {
  BatchGetCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../aws/dynamodb-errors.ts';

/** Where a cluster's tunnel ends, as last announced. */
export type TunnelEntry = {
  readonly clusterId: string;
  readonly taskId: string;
  /** Newest wins: epoch ms of the session's start, made monotonic by its task. */
  readonly nonce: number;
  readonly state: 'connected' | 'disconnected';
  /** When the state began, epoch milliseconds. */
  readonly since: number;
  /** Of the certificate that it came with, lower-case hex SHA-256; absent: announced by a server that did not say. */
  readonly fingerprint?: string;
};

/** A session as its task announces it. */
export type AnnouncedTunnel = {
  readonly clusterId: string;
  readonly taskId: string;
  readonly nonce: number;
  readonly fingerprint: string;
  /** When the session began, epoch milliseconds. */
  readonly now: number;
};

export type TaskLease = {
  readonly taskId: string;
  /** host:port at which other tasks reach it over mTLS. */
  readonly address: string;
  /** The entries of this task hold until then, epoch milliseconds. */
  readonly validUntil: number;
};

/** Partition of one cluster's tunnel: `CLUSTER#<clusterId>`. */
export const tunnelPartition = (clusterId: string) => `CLUSTER#${clusterId}`;
export const taskPartition = (taskId: string) => `TASK#${taskId}`;

/**
 * Which task holds which cluster (design.md 9). Validity hangs on the task's lease: one write per task every few
 * seconds and none per idle cluster.
 * Units: `announce`, `withdraw`, `renewLease` 1 write; `locate` 1 read, and 1 for the lease; `locateAll` 0.5 per cluster and per task.
 */
export class TunnelDirectoryRepository {
  readonly #dynamo: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(dynamo: DynamoDBDocumentClient, directoryTable: string) {
    this.#dynamo = dynamo;
    this.#table = directoryTable;
  }

  /** Says that the cluster's tunnel ends here; false when a newer session was announced already. */
  async announce(entry: AnnouncedTunnel): Promise<boolean> {
    return ifHolds(
      this.#dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: {
            pk: tunnelPartition(entry.clusterId),
            sk: 'TUNNEL',
            taskId: entry.taskId,
            nonce: entry.nonce,
            state: 'connected',
            since: entry.now,
            fingerprint: entry.fingerprint,
          },
          ConditionExpression: 'attribute_not_exists(nonce) OR nonce < :nonce',
          ExpressionAttributeValues: { ':nonce': entry.nonce },
        }),
      ),
    );
  }

  /** Says that the session is over, unless a newer one took its place. */
  async withdraw(entry: { clusterId: string; taskId: string; nonce: number; now: number }): Promise<boolean> {
    return ifHolds(
      this.#dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: { pk: tunnelPartition(entry.clusterId), sk: 'TUNNEL' },
          UpdateExpression: 'SET #state = :gone, since = :now',
          ConditionExpression: 'taskId = :task AND nonce = :nonce',
          ExpressionAttributeNames: { '#state': 'state' },
          ExpressionAttributeValues: {
            ':gone': 'disconnected',
            ':now': entry.now,
            ':task': entry.taskId,
            ':nonce': entry.nonce,
          },
        }),
      ),
    );
  }

  async renewLease(lease: TaskLease): Promise<void> {
    await this.#dynamo.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk: taskPartition(lease.taskId),
          sk: 'LEASE',
          address: lease.address,
          validUntil: lease.validUntil,
          expiresAt: Math.ceil(lease.validUntil / 1000) + 3_600,
        },
      }),
    );
  }

  async lease(taskId: string): Promise<TaskLease | undefined> {
    const { Item } = await this.#dynamo.send(
      new GetCommand({
        TableName: this.#table,
        Key: { pk: taskPartition(taskId), sk: 'LEASE' },
        ConsistentRead: true,
      }),
    );
    return Item && { taskId, address: Item.address as string, validUntil: Item.validUntil as number };
  }

  async locate(clusterId: string): Promise<TunnelEntry | undefined> {
    const { Item } = await this.#dynamo.send(
      new GetCommand({
        TableName: this.#table,
        Key: { pk: tunnelPartition(clusterId), sk: 'TUNNEL' },
        ConsistentRead: true,
      }),
    );
    return Item && entryOf(clusterId, Item);
  }

  /**
   * The state of up to 200 clusters: an entry whose task's lease is over counts as disconnected since the lease's end.
   * Clusters that were never connected are absent.
   */
  async locateAll(clusterIds: readonly string[], now: number): Promise<ReadonlyMap<string, TunnelEntry>> {
    const items = await this.#batchGet(clusterIds.map((id) => ({ pk: tunnelPartition(id), sk: 'TUNNEL' })));
    const entries = items.map((item) => entryOf((item.pk as string).slice('CLUSTER#'.length), item));
    const tasks = [
      ...new Set(entries.filter(({ state }) => state === 'connected').map(({ taskId }) => taskId)),
    ];
    const leases = new Map(
      (await this.#batchGet(tasks.map((id) => ({ pk: taskPartition(id), sk: 'LEASE' })))).map((item) => [
        (item.pk as string).slice('TASK#'.length),
        item.validUntil as number,
      ]),
    );
    return new Map(
      entries.map((entry) => {
        const validUntil = leases.get(entry.taskId) ?? entry.since;
        const over = entry.state === 'connected' && validUntil < now;
        return [entry.clusterId, over ? { ...entry, state: 'disconnected', since: validUntil } : entry];
      }),
    );
  }

  async #batchGet(keys: readonly { pk: string; sk: string }[]): Promise<Record<string, unknown>[]> {
    const found: Record<string, unknown>[] = [];
    for (let start = 0; start < keys.length; start += 100) {
      let pending: Record<string, unknown>[] = keys.slice(start, start + 100);
      while (pending.length > 0) {
        const { Responses, UnprocessedKeys } = await this.#dynamo.send(
          new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: pending } } }),
        );
        found.push(...(Responses?.[this.#table] ?? []));
        pending = UnprocessedKeys?.[this.#table]?.Keys ?? [];
      }
    }
    return found;
  }
}

const entryOf = (clusterId: string, item: Record<string, unknown>): TunnelEntry => ({
  clusterId,
  taskId: item.taskId as string,
  nonce: item.nonce as number,
  state: item.state as TunnelEntry['state'],
  since: item.since as number,
  ...(item.fingerprint === undefined ? {} : { fingerprint: item.fingerprint as string }),
});
