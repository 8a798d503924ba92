import {
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { patience } from '../aws/patience.ts';
import { digestOfKey, type ManifestName, manifestKey, releasePrefix } from './manifest-key.ts';

/** A Lambda's answer may have 6 MB, the event around the body included, and Base64 makes four bytes of three. */
const inlineBytes = 4_500_000;
/** How often a copy is sent while another one of the same is being put. */
const conflictTries = 3;
/** Time to follow a redirect and to begin the download, s. */
const urlSeconds = 300;

/**
 * Our copies of upstream's manifests, in the bucket of public assets. An object's key has the digest of its content, and
 * S3 itself compares the two (`x-amz-checksum-sha256`) before it keeps anything: a copy is right or is not there, and
 * that of a former digest stays. Unknown errors of S3 propagate.
 */
export class ManifestRepository {
  readonly #s3: S3Client;
  readonly #bucket: string;

  constructor(s3: S3Client, assetsBucket: string) {
    this.#s3 = s3;
    this.#bucket = assetsBucket;
  }

  /** Keeps a manifest, unless it is there. Throws S3's BadDigest when its content is not what its name says. Costs one PUT. */
  async put(manifest: ManifestName, bytes: Uint8Array): Promise<void> {
    const object = {
      Bucket: this.#bucket,
      Key: manifestKey(manifest),
      Body: bytes,
      ContentType: 'application/yaml',
      ChecksumSHA256: Buffer.from(manifest.sha256, 'hex').toString('base64'),
      // Content of the same name is the same: there is never a reason to write over it.
      IfNoneMatch: '*',
    };
    for (let turn = 1; ; turn += 1) {
      try {
        await this.#s3.send(new PutObjectCommand(object));
        return;
      } catch (error) {
        const { name } = error as Partial<Error>;
        if (name === 'PreconditionFailed') return;
        // Somebody is putting the same at this moment: S3 wants this one to be sent again, and the SDK does not.
        if (name !== 'ConditionalRequestConflict' || turn === conflictTries) throw error;
      }
    }
  }

  /** Digests of what is here of a release, former ones included. Costs one LIST per 1,000 files. */
  async mirrored(version: string): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    let next: string | undefined;
    do {
      const page = await this.#s3.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: releasePrefix(version),
          ContinuationToken: next,
        }),
      );
      for (const { Key = '' } of page.Contents ?? []) found.add(digestOfKey(version, Key));
      next = page.NextContinuationToken;
    } while (next !== undefined);
    return found;
  }

  /**
   * The bytes, or, when they are too many for a Lambda's answer, a presigned URL that serves them for 5 minutes (shorter
   * when the function's own credentials end before); undefined when it is not mirrored. Costs one GET.
   */
  async read(manifest: ManifestName): Promise<{ bytes: Uint8Array } | { url: string } | undefined> {
    const object = { Bucket: this.#bucket, Key: manifestKey(manifest) };
    try {
      const { Body, ContentLength } = await this.#s3.send(new GetObjectCommand(object));
      if (!Body || ContentLength === undefined) throw new Error('S3 answered without a body or its length.');
      if (ContentLength <= inlineBytes) return { bytes: await Body.transformToByteArray() };
      // Nothing is read of it: the stream holds a connection until it is destroyed.
      if ('destroy' in Body) Body.destroy();
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
    return { url: await getSignedUrl(this.#s3, new GetObjectCommand(object), { expiresIn: urlSeconds }) };
  }
}

/** As a function uses it, with its own role. `attempt`: how long one attempt at S3 may take (core/aws/patience.ts). */
export const manifestRepository = (
  assetsBucket: string,
  attempt: (typeof patience)[keyof typeof patience] = patience.answers,
): ManifestRepository => new ManifestRepository(new S3Client({ requestHandler: attempt }), assetsBucket);
