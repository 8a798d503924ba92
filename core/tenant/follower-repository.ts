import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../aws/dynamodb-errors.ts';
import type { TenantAccess } from './tenant-access.ts';
import { type TenantCollection, tenantPartition } from './tenant-partition.ts';

/** Who wait at the same time for one kind of thing, over the whole of a tenant. */
export const followersOfTenant = 5;

/** How often a change gives way to others at the same time. */
const tries = 5;
/** Beyond the end of a place, s: DynamoDB's TTL need not be in time, only come. */
const keptSeconds = 3_600;

type Followers = {
  /** Counts the writes, from 1. */
  readonly version: number;
  /** When each one's place lapses, epoch milliseconds. */
  readonly places: Readonly<Record<string, number>>;
};

/**
 * Who of a tenant waits for something, be it progress or the result of an upload. Each occupies an execution of the
 * function, of which all tenants share a bounded number: so a tenant has a few places for each such thing. One item in
 * the collection of what is waited for; a place of who died lapses.
 * Units: `enter` and `leave` 1 read and 1 write; `enter` without a place 1 read; more when others are faster.
 */
export class FollowerRepository {
  readonly #access: TenantAccess;
  readonly #table: string;
  readonly #collection: TenantCollection;

  constructor(access: TenantAccess, tenantTable: string, collection: TenantCollection) {
    this.#access = access;
    this.#table = tenantTable;
    this.#collection = collection;
  }

  /** Takes a place until then (epoch ms); false when there is none, or too many come at once. */
  enter(
    tenantId: string,
    follower: string,
    { until, now }: { until: number; now: number },
  ): Promise<boolean> {
    return this.#change(tenantId, now, (places) =>
      Object.keys(places).length >= followersOfTenant ? undefined : { ...places, [follower]: until },
    );
  }

  /** Idempotent. A place that could not be given back lapses. `now`: epoch milliseconds. */
  async leave(tenantId: string, follower: string, now: number): Promise<void> {
    await this.#change(tenantId, now, ({ [follower]: left, ...others }) =>
      left === undefined ? undefined : others,
    );
  }

  /** Whether it was changed; `change` gets the places that have not lapsed, and undefined leaves them. */
  async #change(
    tenantId: string,
    now: number,
    change: (places: Followers['places']) => Followers['places'] | undefined,
  ): Promise<boolean> {
    const { dynamo } = this.#access(tenantId);
    const key = { pk: tenantPartition(tenantId, this.#collection), sk: 'FOLLOWERS' };
    for (let turn = 0; turn < tries; turn += 1) {
      const { Item } = await dynamo.send(
        new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: true }),
      );
      const { version, places } = (Item as Followers | undefined) ?? { version: 0, places: {} };
      const changed = change(Object.fromEntries(Object.entries(places).filter(([, until]) => until > now)));
      if (!changed) return false;
      const last = Math.max(now, ...Object.values(changed));
      const put = new PutCommand({
        TableName: this.#table,
        Item: {
          ...key,
          version: version + 1,
          places: changed,
          expiresAt: Math.ceil(last / 1000) + keptSeconds,
        },
        ...(version === 0
          ? { ConditionExpression: 'attribute_not_exists(pk)' }
          : { ConditionExpression: 'version = :seen', ExpressionAttributeValues: { ':seen': version } }),
      });
      if (await ifHolds(dynamo.send(put))) return true;
    }
    return false;
  }
}
