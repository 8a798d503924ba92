import { PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';

/** Which image was changed when (epoch ms); `position`: its place among all changes. */
export type ImageChange = { readonly at: number; readonly digest: string; readonly position: string };

/** How long changes are told one by one. */
export const changesKeptMs = 8 * 86_400_000;

/**
 * Which of a tenant's images were changed lately, in the order of the writers' clocks: what the deltas of bundles are made
 * of. Noted before the image is written, so that a writer that stops half-way hides nothing; readers therefore begin a
 * minute earlier than where they were. Units: `note` 1 write, `newest` half a read (twice that when consistent), `since`
 * 1 read per 4 KB (some 20 changes).
 */
export class ImageChangeRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** `at`: epoch ms. */
  async note(tenantId: string, digest: string, at: number): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk: partition(tenantId),
          sk: `${positionOf(at)}${digest}`,
          expiresAt: Math.ceil((at + changesKeptMs) / 1000),
        },
      }),
    );
  }

  /** The last change; undefined: none within 8 days. */
  async newest(tenantId: string, { consistent = false } = {}): Promise<ImageChange | undefined> {
    const { Items: [item] = [] } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': partition(tenantId) },
        ScanIndexForward: false,
        Limit: 1,
        ConsistentRead: consistent,
      }),
    );
    return item && changeOf(item);
  }

  /**
   * Changes after a position, or from a time on (epoch ms), until a time (inclusive), oldest first; an image stands there once for
   * each time that it was changed. `more`: there are others behind the last of these.
   */
  async since(
    tenantId: string,
    {
      after,
      until,
      limit,
    }: { readonly after: string | number; readonly until: number; readonly limit: number },
  ): Promise<{ readonly changes: readonly ImageChange[]; readonly more: boolean }> {
    // `!` comes before all that may follow, `~` behind it.
    const [from, to] = [
      typeof after === 'number' ? positionOf(Math.max(after, 0)) : `${after}!`,
      `${positionOf(until)}~`,
    ];
    if (from > to) return { changes: [], more: false };
    const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
        ExpressionAttributeValues: { ':pk': partition(tenantId), ':from': from, ':to': to },
        Limit: limit,
        ConsistentRead: true,
      }),
    );
    return { changes: Items.map(changeOf), more: LastEvaluatedKey !== undefined };
  }
}

const partition = (tenantId: string) => tenantPartition(tenantId, 'IMAGE_CHANGES');

const positionOf = (at: number): string => `${String(at).padStart(15, '0')}#`;

function changeOf({ sk }: Record<string, unknown>): ImageChange {
  const position = String(sk);
  const [at = '', digest = ''] = position.split('#');
  return { at: Number(at), digest, position };
}
