import { createHash } from 'node:crypto';
import {
  DeleteCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { getAll } from '../aws/batches.ts';
import { ifHolds } from '../aws/dynamodb-errors.ts';
import type { Role } from './scope.ts';
import type { TokenKind } from './token.ts';

/** What a stored credential yields. Only the hash of its text is kept (design.md 5). */
export type CredentialRecord = {
  readonly hash: string;
  readonly kind: TokenKind;
  readonly tokenId: string;
  readonly tenantId: string;
  /** Space separated. */
  readonly scopes: string;
  /** Epoch seconds; absent: it does not expire by itself. */
  readonly expiresAt?: number;
  /** The cluster of a cluster token. */
  readonly clusterId?: string;
  /** The only name that a registration token may register. */
  readonly clusterName?: string;
  /** The last day on which an API key was used, UTC, as `2026-11-23`; absent: not used yet. */
  readonly lastUsedDay?: string;
};

export type Membership = {
  readonly issuer: string;
  readonly subject: string;
  readonly tenantId: string;
  readonly roles: readonly Role[];
};

export type Invitation = {
  readonly email: string;
  readonly tenantId: string;
  readonly roles: readonly Role[];
  /** Epoch seconds; a sign-in later binds nothing. */
  readonly expiresAt: number;
};

export const credentialPartition = (hash: string) => `CREDENTIAL#${hash}`;
export const subjectPartition = (issuer: string, subject: string) =>
  `SUBJECT#${digest(`${issuer}\n${subject}`)}`;
/** Case counts for nothing in A–Z only: `toLowerCase` makes letters of other scripts (U+212A) into ASCII ones. */
export const invitationPartition = (email: string) =>
  `INVITATION#${digest(email.trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase()))}`;

const sk = 'IDENTITY';

/**
 * What must be found before the tenant is known. Single-item conditional writes only.
 * Units: every method 1 read (strongly consistent) or 1 write, `bindInvitation` up to 1 read and 3 writes,
 * `lastUsedDays` half a read for each credential.
 */
export class IdentityRepository {
  readonly #dynamo: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(dynamo: DynamoDBDocumentClient, identitiesTable: string) {
    this.#dynamo = dynamo;
    this.#table = identitiesTable;
  }

  /** The record of a credential, spent or not; expiry is the caller's to check (TTL removes late). */
  async findCredential(hash: string): Promise<CredentialRecord | undefined> {
    const item = await this.#get(credentialPartition(hash));
    if (!item) return undefined;
    const { pk: _pk, sk: _sk, ...record } = item;
    return { ...(record as Omit<CredentialRecord, 'hash'>), hash };
  }

  /** Idempotent: the same credential stays as it was first stored. */
  async putCredential({ hash, ...record }: CredentialRecord): Promise<void> {
    await this.#putOnce({ pk: credentialPartition(hash), sk, ...record });
  }

  async deleteCredential(hash: string): Promise<void> {
    await this.#dynamo.send(
      new DeleteCommand({ TableName: this.#table, Key: { pk: credentialPartition(hash), sk } }),
    );
  }

  /**
   * Notes that a credential was used on a day (UTC, `2026-11-23`); nothing is written when that day or a later one stands
   * there, or the credential is gone: a deleted one does not come back. Attributes other than the key's and this one must
   * not be named here: the rights of those who only verify go no further.
   */
  async noteUse(hash: string, day: string, abortSignal?: AbortSignal): Promise<boolean> {
    return ifHolds(
      this.#dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: { pk: credentialPartition(hash), sk },
          UpdateExpression: 'SET lastUsedDay = :day',
          ConditionExpression:
            'attribute_exists(pk) AND (attribute_not_exists(lastUsedDay) OR lastUsedDay < :day)',
          ExpressionAttributeValues: { ':day': day },
        }),
        abortSignal ? { abortSignal } : {},
      ),
    );
  }

  /** The last day of use by hash; without those never used, and those that are gone. */
  async lastUsedDays(hashes: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const keys = hashes.map((hash) => ({ pk: credentialPartition(hash), sk }));
    const items = await getAll(this.#dynamo, this.#table, keys, { consistent: false });
    const days = new Map(items.map(({ pk, lastUsedDay }) => [pk, lastUsedDay]));
    return new Map(
      hashes.flatMap((hash) => {
        const day = days.get(credentialPartition(hash));
        return typeof day === 'string' ? [[hash, day] as const] : [];
      }),
    );
  }

  async findMembership(issuer: string, subject: string): Promise<Membership | undefined> {
    const item = await this.#get(subjectPartition(issuer, subject));
    return item && { issuer, subject, tenantId: item.tenantId as string, roles: item.roles as Role[] };
  }

  /** Gives a member of that tenant these roles; false when the subject is none. */
  async setRoles({ issuer, subject, tenantId, roles }: Membership): Promise<boolean> {
    return ifHolds(
      this.#dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: { pk: subjectPartition(issuer, subject), sk },
          UpdateExpression: 'SET #roles = :roles',
          ConditionExpression: 'tenantId = :tenant',
          ExpressionAttributeNames: { '#roles': 'roles' },
          ExpressionAttributeValues: { ':tenant': tenantId, ':roles': roles },
        }),
      ),
    );
  }

  /** Ends the membership of that tenant; false when there is none. */
  async removeMembership({ issuer, subject, tenantId }: Omit<Membership, 'roles'>): Promise<boolean> {
    return this.#deleteOf(subjectPartition(issuer, subject), tenantId);
  }

  /** Takes back an invitation of that tenant; false when there is none, or it has been taken up. */
  async withdrawInvitation({ email, tenantId }: Pick<Invitation, 'email' | 'tenantId'>): Promise<boolean> {
    return this.#deleteOf(invitationPartition(email), tenantId);
  }

  /** Leaves an invitation for a verified address; false when that address is invited to another tenant already. */
  async invite({ email, tenantId, roles, expiresAt }: Invitation): Promise<boolean> {
    // An update leaves `boundTo` alone: a binding that is under way is not opened to somebody else.
    return ifHolds(
      this.#dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: { pk: invitationPartition(email), sk },
          UpdateExpression: 'SET tenantId = :tenant, #roles = :roles, expiresAt = :until',
          ConditionExpression: 'attribute_not_exists(pk) OR tenantId = :tenant',
          ExpressionAttributeNames: { '#roles': 'roles' },
          ExpressionAttributeValues: { ':tenant': tenantId, ':roles': roles, ':until': expiresAt },
        }),
      ),
    );
  }

  /**
   * Binds the first sign-in with an invited address, that the issuer verified, to (issuer, subject).
   * The invitation is claimed by one subject first, so two racing sign-ins give one membership; a retry completes it.
   */
  async bindInvitation(
    user: { issuer: string; subject: string; email: string },
    now: number,
  ): Promise<Membership | undefined> {
    const invitation = invitationPartition(user.email);
    const bound = subjectPartition(user.issuer, user.subject);
    const item = await this.#get(invitation);
    if (!item || (item.expiresAt as number) * 1000 <= now) return undefined;
    const claimed = await ifHolds(
      this.#dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: { pk: invitation, sk },
          UpdateExpression: 'SET boundTo = :me',
          ConditionExpression: 'attribute_exists(pk) AND (attribute_not_exists(boundTo) OR boundTo = :me)',
          ExpressionAttributeValues: { ':me': bound },
        }),
      ),
    );
    if (!claimed) return undefined;
    await this.#putOnce({ pk: bound, sk, tenantId: item.tenantId, roles: item.roles });
    await this.#dynamo.send(new DeleteCommand({ TableName: this.#table, Key: { pk: invitation, sk } }));
    return this.findMembership(user.issuer, user.subject);
  }

  async #deleteOf(pk: string, tenantId: string): Promise<boolean> {
    return ifHolds(
      this.#dynamo.send(
        new DeleteCommand({
          TableName: this.#table,
          Key: { pk, sk },
          ConditionExpression: 'tenantId = :tenant',
          ExpressionAttributeValues: { ':tenant': tenantId },
        }),
      ),
    );
  }

  async #get(pk: string): Promise<Record<string, unknown> | undefined> {
    const { Item } = await this.#dynamo.send(
      new GetCommand({ TableName: this.#table, Key: { pk, sk }, ConsistentRead: true }),
    );
    return Item;
  }

  async #putOnce(item: Record<string, unknown>): Promise<void> {
    await ifHolds(
      this.#dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: item,
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      ),
    );
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
