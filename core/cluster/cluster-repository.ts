import { GetCommand } from '@aws-sdk/lib-dynamodb';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import type { ClusterFacts } from './cluster-schema.ts';

/** A certificate of a cluster. */
export type IssuedCertificate = {
  /** PEM, public. */
  readonly certificate: string;
  /** Lower-case hex SHA-256 of its DER. */
  readonly fingerprint: string;
  /** End of its validity, epoch milliseconds. */
  readonly notAfter: number;
};

/** A certificate that a renewal issued. */
export type Renewal = IssuedCertificate & {
  /** Lower-case hex SHA-256 of its key's SPKI: the same key again is the same renewal. */
  readonly keyHash: string;
};

/**
 * A registered cluster as the tenant table keeps it, with its certificate. At most two are valid at a time: this one,
 * and that of the renewal (docs/certificates.md).
 */
export type ClusterRecord = IssuedCertificate & {
  readonly clusterId: string;
  readonly clusterName: string;
  /** Epoch milliseconds. */
  readonly registeredAt: number;
  readonly facts: ClusterFacts;
  /** The newest certificate, beside the one that it is to replace; absent: there is no renewal under way. */
  readonly renewal?: Renewal;
  /** Fingerprints of certificates that are no more the cluster's and whose revocation is under way. */
  readonly outdated?: ReadonlySet<string>;
  /** Renewals that began in the hour that began then (epoch milliseconds). */
  readonly renewals?: { readonly since: number; readonly begun: number };
  /** When a renewed certificate last took the other's place, epoch milliseconds; absent: never. */
  readonly renewedAt?: number;
  /** SHA-256 of the cluster token, so that disconnecting can delete the credential. */
  readonly tokenHash: string;
  /** Whether its users' requests bear their own identity; absent: they do not. */
  readonly impersonation?: boolean;
};

/** Item key of one cluster in its tenant's CLUSTERS partition. */
export const clusterKey = (tenantId: string, clusterId: string) => ({
  pk: tenantPartition(tenantId, 'CLUSTERS'),
  sk: clusterId,
});

/** The record of an item; undefined when there is none or the cluster was disconnected (a tombstone that TTL removes). */
export function clusterOf(item: Record<string, unknown> | undefined): ClusterRecord | undefined {
  if (!item || item.disconnectedAt !== undefined) return undefined;
  const { pk: _pk, sk: _sk, ...record } = item;
  return record as ClusterRecord;
}

/** Reads clusters as their tenant; the writes are functions/registration's. Units: `find` 1 read (≤ 4 KB, strongly consistent). */
export class ClusterRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** Undefined for an absent, disconnected or other tenant's cluster: the same for all three. */
  async find(tenantId: string, clusterId: string): Promise<ClusterRecord | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: clusterKey(tenantId, clusterId), ConsistentRead: true }),
    );
    return clusterOf(Item);
  }
}
