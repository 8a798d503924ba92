import {
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../aws/dynamodb-errors.ts';

/** Whose certificate it is; the tunnel's identity comes from here and from nowhere else (design.md 7). */
export type CertificateEntry = {
  readonly fingerprint: string;
  readonly tenantId: string;
  readonly clusterId: string;
  /** End of validity, epoch milliseconds. */
  readonly notAfter: number;
  /** When it was revoked, epoch milliseconds. */
  readonly revokedAt?: number;
};

export type Revocation = {
  readonly fingerprint: string;
  readonly clusterId: string;
  readonly revokedAt: number;
};

/** Partition of one certificate: `CERT#<fingerprint>`. */
export const certificatePartition = (fingerprint: string) => `CERT#${fingerprint}`;
/** The one time-sorted partition that every task queries every 2 s (design.md 5). */
export const revocationsPartition = 'REVOCATIONS';

/** How long a revocation stays in the time-sorted partition; the certificate's own entry stays until it would end. */
const revocationTtlMs = 24 * 3_600_000;
/** An entry that is revoked before it was published stays as long as a certificate made now could live, and longer. */
const unpublishedTtlMs = 400 * 86_400_000;

/**
 * Certificates and revocations in the directory table.
 * Units: `publish` 1 write, `revoke` 2 writes, `find` 1 strongly consistent read (1 unit), `revokedSince` 0.5 when nothing is new.
 */
export class CertificateDirectoryRepository {
  readonly #dynamo: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(dynamo: DynamoDBDocumentClient, directoryTable: string) {
    this.#dynamo = dynamo;
    this.#table = directoryTable;
  }

  /** Idempotent; never brings a revoked certificate back. */
  async publish(entry: Omit<CertificateEntry, 'revokedAt'>): Promise<void> {
    await ifHolds(
      this.#dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: {
            pk: certificatePartition(entry.fingerprint),
            sk: 'CERTIFICATE',
            tenantId: entry.tenantId,
            clusterId: entry.clusterId,
            notAfter: entry.notAfter,
            expiresAt: Math.ceil(entry.notAfter / 1000),
          },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      ),
    );
  }

  /** Strongly consistent: a certificate revoked a moment ago must not come in. */
  async find(fingerprint: string): Promise<CertificateEntry | undefined> {
    const { Item } = await this.#dynamo.send(
      new GetCommand({
        TableName: this.#table,
        Key: { pk: certificatePartition(fingerprint), sk: 'CERTIFICATE' },
        ConsistentRead: true,
      }),
    );
    if (!Item) return undefined;
    const { tenantId, clusterId, notAfter, revokedAt } = Item as Omit<CertificateEntry, 'fingerprint'>;
    return { fingerprint, tenantId, clusterId, notAfter, ...(revokedAt === undefined ? {} : { revokedAt }) };
  }

  /** Idempotent. The certificate's entry first (no new handshake), then the record that cuts live tunnels. */
  async revoke(
    { fingerprint, clusterId }: { fingerprint: string; clusterId: string },
    now: number,
  ): Promise<void> {
    await this.#dynamo.send(
      new UpdateCommand({
        TableName: this.#table,
        Key: { pk: certificatePartition(fingerprint), sk: 'CERTIFICATE' },
        UpdateExpression:
          'SET revokedAt = if_not_exists(revokedAt, :now), expiresAt = if_not_exists(expiresAt, :until)',
        ExpressionAttributeValues: { ':now': now, ':until': Math.ceil((now + unpublishedTtlMs) / 1000) },
      }),
    );
    await this.#dynamo.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk: revocationsPartition,
          sk: revocationKey(now, fingerprint),
          fingerprint,
          clusterId,
          revokedAt: now,
          expiresAt: Math.ceil((now + revocationTtlMs) / 1000),
        },
      }),
    );
  }

  /** Revocations since a time (epoch ms), oldest first, strongly consistent. Ask with an overlap: clocks of writers differ. */
  async revokedSince(since: number): Promise<readonly Revocation[]> {
    const found: Revocation[] = [];
    let start: Record<string, unknown> | undefined;
    do {
      const { Items = [], LastEvaluatedKey } = await this.#dynamo.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: 'pk = :pk AND sk >= :since',
          ExpressionAttributeValues: { ':pk': revocationsPartition, ':since': revocationKey(since, '') },
          ConsistentRead: true,
          ...(start ? { ExclusiveStartKey: start } : {}),
        }),
      );
      for (const item of Items) {
        const { fingerprint, clusterId, revokedAt } = item as Revocation;
        found.push({ fingerprint, clusterId, revokedAt });
      }
      start = LastEvaluatedKey;
    } while (start);
    return found;
  }
}

/** Time first, as fixed-width text, so that the partition is sorted by time. */
const revocationKey = (time: number, fingerprint: string) => `${new Date(time).toISOString()}#${fingerprint}`;
