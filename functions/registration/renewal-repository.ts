import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { conditionFailed, ifHolds } from '../../core/aws/dynamodb-errors.ts';
import {
  clusterKey,
  clusterOf,
  type ClusterRecord,
  type Renewal,
} from '../../core/cluster/cluster-repository.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';
import type { HourCount } from './hour-count.ts';

/** A renewal, and how many began with it within an hour. */
export type NextRenewal = { readonly renewal: Renewal; readonly renewals: HourCount };

type Update = {
  readonly set: Readonly<Record<string, unknown>>;
  readonly remove?: string;
  /** Fingerprint of the certificate that is the cluster's no more. */
  readonly outdated: string | undefined;
};

const live =
  'attribute_exists(pk) AND attribute_not_exists(disconnectedAt) AND attribute_not_exists(closingAt)';

/**
 * The certificates of a tenant's clusters, in the clusters' own items. Each change is one write, on the condition that
 * the certificates are still those that were read, and it puts into `outdated` what it takes away, until that is
 * revoked: whatever stops a renewal, no valid certificate is forgotten.
 * Units: every method 1 write per KB of the cluster (2 to 4).
 */
export class RenewalRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /**
   * Puts a renewal beside the cluster's certificate, in place of one that was there: the cluster as it is now.
   * Undefined when its certificates are others by now, or it is gone or about to go.
   */
  renew(tenantId: string, cluster: ClusterRecord, next: NextRenewal): Promise<ClusterRecord | undefined> {
    return this.#change(tenantId, cluster, { set: next, outdated: cluster.renewal?.fingerprint });
  }

  /** Makes the renewed certificate the cluster's own; `next`: a further renewal beside it. `now`: epoch milliseconds. */
  takeUp(
    tenantId: string,
    cluster: ClusterRecord,
    { certificate, fingerprint, notAfter }: Renewal,
    { next, now }: { readonly next?: NextRenewal; readonly now: number },
  ): Promise<ClusterRecord | undefined> {
    const own = { certificate, fingerprint, notAfter, renewedAt: now };
    return this.#change(tenantId, cluster, {
      ...(next ? { set: { ...own, ...next } } : { set: own, remove: 'renewal' }),
      outdated: cluster.fingerprint,
    });
  }

  /** These are revoked. Idempotent. */
  async forget(tenantId: string, clusterId: string, fingerprints: ReadonlySet<string>): Promise<void> {
    await ifHolds(
      this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: clusterKey(tenantId, clusterId),
          UpdateExpression: 'DELETE outdated :revoked',
          ConditionExpression: live,
          ExpressionAttributeValues: { ':revoked': fingerprints },
        }),
      ),
    );
  }

  async #change(
    tenantId: string,
    { clusterId, fingerprint, renewal }: ClusterRecord,
    { set, remove, outdated }: Update,
  ): Promise<ClusterRecord | undefined> {
    const unchanged = renewal ? 'renewal.fingerprint = :known' : 'attribute_not_exists(renewal)';
    const entries = Object.entries(set);
    const command = new UpdateCommand({
      TableName: this.#table,
      Key: clusterKey(tenantId, clusterId),
      UpdateExpression: [
        `SET ${entries.map(([name]) => `${name} = :${name}`).join(', ')}`,
        ...(remove === undefined ? [] : [`REMOVE ${remove}`]),
        ...(outdated === undefined ? [] : ['ADD outdated :outdated']),
      ].join(' '),
      ConditionExpression: `${live} AND fingerprint = :own AND ${unchanged}`,
      ExpressionAttributeValues: {
        ...Object.fromEntries(entries.map(([name, value]) => [`:${name}`, value])),
        ':own': fingerprint,
        ...(renewal ? { ':known': renewal.fingerprint } : {}),
        ...(outdated === undefined ? {} : { ':outdated': new Set([outdated]) }),
      },
      ReturnValues: 'ALL_NEW',
    });
    try {
      return clusterOf((await this.#access(tenantId).dynamo.send(command)).Attributes);
    } catch (error) {
      if (conditionFailed(error)) return undefined;
      throw error;
    }
  }
}
