import { createHash } from 'node:crypto';
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
   * Stores a report under its own content's name, so that a retry writes the same again, beside others about the same:
   * the digest of an image, `several` for several images, `statements` for VEX documents. Gives its key. Costs one PUT.
   * `sha256`: hex, of the report as it came.
   */
  async keep(
    tenantId: string,
    { about, sha256, report }: { about: string; sha256: string; report: Uint8Array },
  ): Promise<string> {
    const key = `${tenantPrefix(tenantId)}scans/${about}/${sha256}.json.gz`;
    const stored = gzipSync(report);
    await this.#access(tenantId).s3.send(
      new PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: stored,
        // S3 refuses what it did not get whole. The name has the SHA-256 of the report itself.
        ChecksumSHA256: createHash('sha256').update(stored).digest('base64'),
        ContentType: 'application/json',
        ContentEncoding: 'gzip',
      }),
    );
    return key;
  }
}
