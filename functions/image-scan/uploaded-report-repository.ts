import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { uploadKey } from '../../core/image/upload-key.ts';
import type { TenantObjectAccess } from '../../core/tenant/tenant-objects.ts';

/** A request that puts one report, and nothing else, in its place. */
export type PresignedPut = {
  readonly url: string;
  /** Signed: the request is refused without them, or with others. */
  readonly headers: Readonly<Record<string, string>>;
  /** Epoch milliseconds. */
  readonly until: number;
};

/** The reports that their senders put into the scan bucket themselves, each under its upload's key. */
export class UploadedReportRepository {
  readonly #access: TenantObjectAccess;
  readonly #bucket: string;

  constructor(access: TenantObjectAccess, scanBucket: string) {
    this.#access = access;
    this.#bucket = scanBucket;
  }

  /**
   * The URL signs key, length and SHA-256, so that S3 takes these very bytes or none. It ends after `seconds`, or
   * earlier, when the session that signs does: at least 5 minutes from now. Costs nothing.
   * `sha256`: hex; `now`: epoch milliseconds.
   */
  async presign(
    tenantId: string,
    uploadId: string,
    given: { contentLength: number; sha256: string; seconds: number; now: number },
  ): Promise<PresignedPut> {
    const { s3 } = this.#access(tenantId);
    const { expiration } = await s3.config.credentials();
    const left = expiration ? Math.floor((expiration.getTime() - given.now) / 1_000) : given.seconds;
    const expiresIn = Math.max(1, Math.min(given.seconds, left));
    const checksum = Buffer.from(given.sha256, 'hex').toString('base64');
    const headers = {
      'Content-Length': String(given.contentLength),
      'Content-Type': 'application/json',
      'x-amz-checksum-sha256': checksum,
    };
    const url = await getSignedUrl(
      s3,
      new PutObjectCommand({
        Bucket: this.#bucket,
        Key: uploadKey(tenantId, uploadId),
        ContentLength: given.contentLength,
        ContentType: headers['Content-Type'],
        ChecksumSHA256: checksum,
      }),
      {
        expiresIn,
        // In the query it would be a wish, and these two would not be signed at all.
        unhoistableHeaders: new Set(['x-amz-checksum-sha256']),
        signableHeaders: new Set(['content-length', 'content-type']),
      },
    );
    return { url, headers, until: given.now + expiresIn * 1_000 };
  }

  /**
   * The bytes as they were sent; undefined when they are not `contentLength` many or do not have that SHA-256 (hex), of
   * which S3 has made sure. Costs one GET.
   */
  async read(
    tenantId: string,
    uploadId: string,
    announced: { contentLength: number; sha256: string },
  ): Promise<Buffer | undefined> {
    const { Body, ContentLength } = await this.#access(tenantId).s3.send(
      new GetObjectCommand({ Bucket: this.#bucket, Key: uploadKey(tenantId, uploadId) }),
    );
    if (!Body) throw new Error('S3 answered without a body.');
    const stream = Body as Readable;
    if (ContentLength !== announced.contentLength) {
      // It holds a connection until then.
      stream.destroy();
      return undefined;
    }
    // One buffer from the start: collected pieces would take twice as much when they are put together.
    const bytes = Buffer.allocUnsafe(announced.contentLength);
    let size = 0;
    for await (const piece of stream as AsyncIterable<Buffer>) {
      piece.copy(bytes, size);
      size += piece.length;
    }
    if (size !== bytes.length) throw new Error('S3 has sent another number of bytes than it said.');
    return createHash('sha256').update(bytes).digest('hex') === announced.sha256 ? bytes : undefined;
  }
}
