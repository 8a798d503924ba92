import { DeleteCommand, type DynamoDBDocumentClient, GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed } from '../../core/aws/dynamodb-errors.ts';
import { credentialPartition } from '../../core/credential/identity-repository.ts';

/** What the first use of a token settles: all later uses by the same key lead to the same cluster. */
export type Claim = {
  readonly clusterId: string;
  readonly clusterName: string;
  /** The certificate's serial number, lower-case hex. */
  readonly serial: string;
  /** When the claim was made, epoch milliseconds. */
  readonly claimedAt: number;
};

/** A registration token as the authorizer finds it, and who used it. */
export type TokenRecord = {
  readonly tokenId: string;
  readonly tenantId: string;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** The only name that it may register. */
  readonly boundName: string | undefined;
  /** Who used it: hex SHA-256 of the key's SPKI, and for what. */
  readonly use: { readonly keyHash: string; readonly claim: Claim; readonly issued: boolean } | undefined;
};

type Item = {
  tokenId: string;
  tenantId: string;
  expiresAt: number;
  clusterName?: string;
  spentKey?: string;
  claim?: Claim;
  issuedAt?: number;
};

/**
 * The claim on a registration token, kept in the token's own identity so that one conditional write decides a race.
 * It is one attribute, `claim`: a `clusterId` at the top would make the credential one of a cluster.
 * Units: `find` 1 read; every other method 1 write, refused or not.
 */
export class TokenClaimRepository {
  readonly #dynamo: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(dynamo: DynamoDBDocumentClient, identitiesTable: string) {
    this.#dynamo = dynamo;
    this.#table = identitiesTable;
  }

  async find(hash: string): Promise<TokenRecord | undefined> {
    const { Item } = await this.#dynamo.send(new GetCommand({ ...this.#at(hash), ConsistentRead: true }));
    if (!Item) return undefined;
    const { tokenId, tenantId, expiresAt, clusterName, spentKey, claim, issuedAt } = Item as Item;
    const use = spentKey && claim ? { keyHash: spentKey, claim, issued: issuedAt !== undefined } : undefined;
    return { tokenId, tenantId, expiresAt, boundName: clusterName, use };
  }

  /**
   * Claims an unused token, or replaces this key's own claim on another name while no certificate came of it.
   * Undefined when that is not so any more; else the claim that was replaced, if one was.
   */
  async claim(
    hash: string,
    keyHash: string,
    claim: Claim,
  ): Promise<{ replaced: Claim | undefined } | undefined> {
    try {
      const { Attributes } = await this.#dynamo.send(
        new UpdateCommand({
          ...this.#at(hash),
          UpdateExpression: 'SET spentKey = :key, claim = :claim',
          ConditionExpression:
            'attribute_exists(pk) AND (attribute_not_exists(spentKey) OR ' +
            '(spentKey = :key AND attribute_not_exists(issuedAt) AND claim.clusterName <> :name))',
          ExpressionAttributeValues: { ':key': keyHash, ':claim': claim, ':name': claim.clusterName },
          ReturnValues: 'ALL_OLD',
        }),
      );
      return { replaced: (Attributes as Partial<Item> | undefined)?.claim };
    } catch (error) {
      if (conditionFailed(error)) return undefined;
      throw error;
    }
  }

  /** Settles the claim: a certificate comes of it now. False when it was replaced or given back meanwhile. */
  issue(hash: string, clusterId: string, now: number): Promise<boolean> {
    return this.#ifHolds(
      new UpdateCommand({
        ...this.#at(hash),
        UpdateExpression: 'SET issuedAt = if_not_exists(issuedAt, :now)',
        ConditionExpression: 'claim.clusterId = :cluster',
        ExpressionAttributeValues: { ':now': now, ':cluster': clusterId },
      }),
    );
  }

  /** Gives the token back, unless a certificate came of this claim. */
  async release(hash: string, clusterId: string): Promise<void> {
    await this.#ifHolds(
      new UpdateCommand({
        ...this.#at(hash),
        UpdateExpression: 'REMOVE spentKey, claim',
        ConditionExpression: 'claim.clusterId = :cluster AND attribute_not_exists(issuedAt)',
        ExpressionAttributeValues: { ':cluster': clusterId },
      }),
    );
  }

  /** Takes an unused token out of use; false when it has been used. Idempotent. */
  revokeUnused(hash: string): Promise<boolean> {
    return this.#ifHolds(
      new DeleteCommand({ ...this.#at(hash), ConditionExpression: 'attribute_not_exists(spentKey)' }),
    );
  }

  #at(hash: string) {
    return { TableName: this.#table, Key: { pk: credentialPartition(hash), sk: 'IDENTITY' } };
  }

  async #ifHolds(command: UpdateCommand | DeleteCommand): Promise<boolean> {
    try {
      await (command instanceof UpdateCommand ? this.#dynamo.send(command) : this.#dynamo.send(command));
      return true;
    } catch (error) {
      if (conditionFailed(error)) return false;
      throw error;
    }
  }
}
