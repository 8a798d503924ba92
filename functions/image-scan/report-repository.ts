import { gzipSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { TenantObjectAccess } from '../../core/tenant/tenant-objects.ts';
import { tenantPrefix } from '../../core/tenant/tenant-partition.ts';

/** The reports as they came, in the tenant's part of the scan bucket. */
export class ReportRepository {
  readonly #access: TenantObjectAccess;
  readonly #bucket: string;

  constructor(access: TenantObjectAccess, scanBucket: string) {
    this.#access = access;
    this.#bucket = scanBucket;
  }

  /**
   * Stores a report under its own content's name, so that a retry writes the same again; one about several images,
   * which has no digest, under `several`. Gives its key. Costs one PUT.
   */
  async keep(
    tenantId: string,
    { digest = 'several', sha256, report }: { digest?: string; sha256: string; report: Uint8Array },
  ): Promise<string> {
    const key = `${tenantPrefix(tenantId)}scans/${digest}/${sha256}.json.gz`;
    await this.#access(tenantId).s3.send(
      new PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: gzipSync(report),
        ContentType: 'application/json',
        ContentEncoding: 'gzip',
      }),
    );
    return key;
  }
}
