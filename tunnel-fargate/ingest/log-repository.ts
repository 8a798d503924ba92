import { PutObjectCommand } from '@aws-sdk/client-s3';
import { clusterIdPattern } from '../../core/tenant/identifier.ts';
import type { TenantObjectAccess } from '../../core/tenant/tenant-objects.ts';
import { tenantPrefix } from '../../core/tenant/tenant-partition.ts';

export type LogObject = {
  readonly tenantId: string;
  readonly clusterId: string;
  /** `flows-rejected`: lines that came as flows and are none. */
  readonly kind: 'flows' | 'flows-rejected';
  /** `YYYY-MM-DD`, UTC. */
  readonly date: string;
  /** Lower-case hex SHA-256 of the uncompressed lines: the same lines are the same object. */
  readonly sha256: string;
  /** Gzip of newline-delimited JSON. */
  readonly body: Buffer;
};

/** Object key of a batch of logs: the tenant first, so that the tenant role's prefix holds it. */
export function logKey({ tenantId, clusterId, kind, date, sha256 }: Omit<LogObject, 'body'>): string {
  if (!clusterIdPattern.test(clusterId)) throw new TypeError('not a cluster ID');
  return `${tenantPrefix(tenantId)}cluster/${clusterId}/kind/${kind}/date=${date}/${sha256}.ndjson.gz`;
}

/** Clusters' logs in S3, written as their tenant. Costs: `put` one PUT. */
export class LogRepository {
  readonly #access: TenantObjectAccess;
  readonly #bucket: string;
  readonly #timeoutMs: number;

  constructor(access: TenantObjectAccess, bucket: string, timeoutMs = 30_000) {
    this.#access = access;
    this.#bucket = bucket;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves when S3 has the object; S3 shows an object whole or not at all. Putting the same again changes nothing. */
  async put(object: LogObject): Promise<void> {
    await this.#access(object.tenantId).s3.send(
      new PutObjectCommand({
        Bucket: this.#bucket,
        Key: logKey(object),
        Body: object.body,
        ContentType: 'application/gzip',
      }),
      { abortSignal: AbortSignal.timeout(this.#timeoutMs) },
    );
  }
}
