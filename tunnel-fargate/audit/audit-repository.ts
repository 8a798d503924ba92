import { PutObjectCommand, S3ServiceException } from '@aws-sdk/client-s3';
import { auditKey, type AuditPlace } from '../../core/audit/audit-key.ts';
import type { TenantObjectAccess } from '../../core/tenant/tenant-objects.ts';

export type AuditObject = AuditPlace & {
  /** Gzip of newline-delimited JSON; the same bytes at every attempt. */
  readonly body: Buffer;
};

/** Tenants' audit trails in S3, written as their tenant. Costs: `put` one PUT. */
export class AuditRepository {
  readonly #access: TenantObjectAccess;
  readonly #bucket: string;
  readonly #timeoutMs: number;

  constructor(access: TenantObjectAccess, bucket: string, timeoutMs = 10_000) {
    this.#access = access;
    this.#bucket = bucket;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Resolves when S3 has the object. Nothing is ever written over: an object of that name was put by an earlier
   * attempt whose answer was lost, for the name holds the task's ID, which is new with every start.
   */
  async put({ body, ...place }: AuditObject): Promise<void> {
    try {
      await this.#access(place.tenantId).s3.send(
        new PutObjectCommand({
          Bucket: this.#bucket,
          Key: auditKey(place),
          Body: body,
          ContentType: 'application/gzip',
          IfNoneMatch: '*',
        }),
        { abortSignal: AbortSignal.timeout(this.#timeoutMs) },
      );
    } catch (error) {
      if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) return;
      throw error;
    }
  }
}
