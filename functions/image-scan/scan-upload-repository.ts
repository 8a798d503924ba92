import { GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed, ifHolds } from '../../core/aws/dynamodb-errors.ts';
import type { UploadProblem, UploadState } from '../../core/image/scan-upload-schema.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantPartition } from '../../core/tenant/tenant-partition.ts';

/** What an upload was asked for with: all that taking the report needs later, when nobody calls. */
export type UploadOrder = {
  readonly uploadId: string;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  /** When the URL ends, epoch milliseconds. */
  readonly urlUntil: number;
  /** Bytes as they are sent. */
  readonly contentLength: number;
  /** Hex, of the same. */
  readonly sha256: string;
  readonly image?: string;
  readonly digest?: string;
  readonly cluster?: string;
  /** What whoever asked may send: results of scans, statements (VEX) that change what verdicts count. */
  readonly may: { readonly report: boolean; readonly state: boolean };
};

export type UploadRecord = UploadOrder & {
  readonly state: UploadState;
  /** How often somebody began to take it. */
  readonly attempts: number;
  /** While it is being taken: until when nobody else begins, epoch milliseconds. */
  readonly leaseUntil: number;
  /** gzip of the JSON of what POST /v1/scans would have answered. */
  readonly result?: Uint8Array;
  readonly problem?: UploadProblem;
};

/** What an attempt ended with. */
export type UploadOutcome =
  | { readonly state: 'done'; readonly result: Uint8Array }
  | { readonly state: 'failed'; readonly problem: UploadProblem };

/** Of the item, after it was made; the report itself goes after a day. */
const keptSeconds = 2 * 24 * 3_600;

/**
 * The uploads of a tenant, in its SCAN_UPLOADS partition: waiting → processing (claimed with a lease) → done or failed.
 * A claim whose holder died lapses. Units: `create`, `claim`, `release` 1 write, `finish` 1 write per KB of the result,
 * `find` 1 read per 4 KB (half of it without `consistent`).
 */
export class ScanUploadRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async create(tenantId: string, order: UploadOrder): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          ...this.#key(tenantId, order.uploadId),
          ...order,
          state: 'waiting',
          attempts: 0,
          leaseUntil: 0,
          expiresAt: Math.ceil(order.createdAt / 1_000) + keptSeconds,
        },
        ConditionExpression: 'attribute_not_exists(pk)',
      }),
    );
  }

  async find(
    tenantId: string,
    uploadId: string,
    { consistent = true }: { consistent?: boolean } = {},
  ): Promise<UploadRecord | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({
        TableName: this.#table,
        Key: this.#key(tenantId, uploadId),
        ConsistentRead: consistent,
      }),
    );
    return Item && recordOf(Item);
  }

  /**
   * Begins an attempt, alone until `leaseUntil`. Undefined when there is nothing to do: no such upload, one that has its
   * outcome, or that somebody is taking (epoch milliseconds).
   */
  async claim(
    tenantId: string,
    uploadId: string,
    { now, leaseUntil }: { now: number; leaseUntil: number },
  ): Promise<UploadRecord | undefined> {
    try {
      const { Attributes } = await this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: this.#key(tenantId, uploadId),
          UpdateExpression: 'SET #state = :processing, leaseUntil = :until ADD attempts :one',
          ConditionExpression: '#state = :waiting OR (#state = :processing AND leaseUntil <= :now)',
          ExpressionAttributeNames: { '#state': 'state' },
          ExpressionAttributeValues: {
            ':waiting': 'waiting',
            ':processing': 'processing',
            ':until': leaseUntil,
            ':now': now,
            ':one': 1,
          },
          ReturnValues: 'ALL_NEW',
        }),
      );
      return Attributes && recordOf(Attributes);
    } catch (error) {
      if (conditionFailed(error)) return undefined;
      throw error;
    }
  }

  /** Lets the next attempt begin from `now` on (epoch milliseconds); nothing, when another one has begun. */
  async release(tenantId: string, { uploadId, attempts }: UploadRecord, now: number): Promise<void> {
    await ifHolds(
      this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: this.#key(tenantId, uploadId),
          UpdateExpression: 'SET leaseUntil = :now',
          ConditionExpression: '#state = :processing AND attempts = :mine',
          ExpressionAttributeNames: { '#state': 'state' },
          ExpressionAttributeValues: { ':now': now, ':processing': 'processing', ':mine': attempts },
        }),
      ),
    );
  }

  /** Whose claim has lapsed may still finish first: both attempts have done the same. False when there is an outcome. */
  async finish(tenantId: string, uploadId: string, outcome: UploadOutcome): Promise<boolean> {
    const [name, value] =
      outcome.state === 'done' ? ['result', outcome.result] : ['problem', outcome.problem];
    return ifHolds(
      this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: this.#key(tenantId, uploadId),
          UpdateExpression: 'SET #state = :state, #outcome = :outcome',
          ConditionExpression: '#state = :processing',
          ExpressionAttributeNames: { '#state': 'state', '#outcome': name },
          ExpressionAttributeValues: {
            ':state': outcome.state,
            ':outcome': value,
            ':processing': 'processing',
          },
        }),
      ),
    );
  }

  #key(tenantId: string, uploadId: string) {
    return { pk: tenantPartition(tenantId, 'SCAN_UPLOADS'), sk: uploadId };
  }
}

function recordOf(item: Record<string, unknown>): UploadRecord {
  const { pk: _pk, sk: _sk, expiresAt: _expiresAt, ...record } = item;
  return record as UploadRecord;
}
