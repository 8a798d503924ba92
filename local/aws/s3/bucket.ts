import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { AwsError } from '../aws-error.ts';
import type { BucketSpec } from '../specs.ts';
import { Turns } from '../turns.ts';
import { BodyDigest } from './checksums.ts';
import type { Declared } from './checksums.ts';
import { finishObjectFile, readObjectFile } from './object-file.ts';
import type { ObjectVersion } from './object-file.ts';
import { SortedKeys } from './sorted-keys.ts';

/** `If-None-Match: *` and `If-Match: <etag>` of a PUT. */
export type WriteCondition = { ifNoneMatch?: '*'; ifMatch?: string };

export type Upload = {
  key: string;
  body: AsyncIterable<Buffer>;
  /** Known once the body has ended. */
  trailers: () => Map<string, string>;
  declared: Declared;
  /** `x-amz-decoded-content-length` or Content-Length, when given. */
  expectedSize: number | undefined;
  headers: Record<string, string>;
  metadata: Record<string, string>;
  condition: WriteCondition;
};

const unversionedId = 'null';

/** A bucket on disk: one file per object version under `objects/`, unfinished ones under `uploads/`, the index in memory. */
export class Bucket {
  readonly name: string;
  readonly versioned: boolean;
  readonly announces: boolean;
  private readonly dir: string;
  private readonly now: () => number;
  /** Newest first. */
  private readonly versions = new Map<string, ObjectVersion[]>();
  private readonly listed = new SortedKeys();
  private readonly turns = new Turns();
  private sequence = 0;

  private constructor(dir: string, spec: BucketSpec, now: () => number) {
    this.dir = dir;
    this.name = spec.name;
    this.versioned = spec.versioned ?? false;
    this.announces = spec.announces ?? false;
    this.now = now;
  }

  /** Reads what the directory holds. What a killed process left unfinished was never acknowledged, and is removed. */
  static async open(dir: string, spec: BucketSpec, now: () => number): Promise<Bucket> {
    const bucket = new Bucket(dir, spec, now);
    await rm(path.join(dir, 'uploads'), { recursive: true, force: true });
    await mkdir(path.join(dir, 'uploads'), { recursive: true, mode: 0o700 });
    await mkdir(path.join(dir, 'objects'), { recursive: true, mode: 0o700 });
    for (const shelf of await readdir(path.join(dir, 'objects'))) {
      const files = await readdir(path.join(dir, 'objects', shelf));
      const found = await Promise.all(
        files.map((file) => readObjectFile(path.join(dir, 'objects', shelf, file))),
      );
      for (const version of found) bucket.remember(version);
    }
    return bucket;
  }

  /** The current version; undefined when there is none or it is a delete marker. */
  current(key: string): ObjectVersion | undefined {
    const newest = this.versions.get(key)?.[0];
    return newest?.deleteMarker ? undefined : newest;
  }

  version(key: string, versionId: string): ObjectVersion | undefined {
    return this.versions.get(key)?.find((version) => version.versionId === versionId);
  }

  /** Keys of current objects that begin with `prefix` and come after `after`, in the order of their UTF-8 bytes. */
  keys(prefix: string, after: string): Iterable<string> {
    return this.listed.from(prefix, after);
  }

  /** For reading; stays readable when the object is replaced or deleted meanwhile. The body is the file's first `size` bytes. */
  async openBody(version: ObjectVersion): Promise<FileHandle> {
    return open(this.file(version), 'r');
  }

  /** Resolves when the object is in place. Throws PreconditionFailed, BadDigest, IncompleteBody, …; then nothing has changed. */
  async put(upload: Upload): Promise<ObjectVersion> {
    const unfinished = path.join(this.dir, 'uploads', randomUUID());
    const file = await open(unfinished, 'wx', 0o600);
    try {
      const digest = new BodyDigest();
      for await (const piece of upload.body) {
        digest.update(piece);
        await file.appendFile(piece);
      }
      if (upload.expectedSize !== undefined && upload.expectedSize !== digest.size) {
        throw new AwsError(
          'IncompleteBody',
          'You did not provide the number of bytes specified by the Content-Length HTTP header.',
        );
      }
      const { etag, checksums } = digest.verify(upload.declared, upload.trailers());
      // Condition and rename are one turn of the key: of two conditional writers, exactly one wins.
      return await this.turns.take(upload.key, async () => {
        this.check(upload.key, upload.condition);
        const { key, headers, metadata } = upload;
        const version = this.next(key, {
          size: digest.size,
          etag,
          headers,
          metadata,
          checksums,
          deleteMarker: false,
        });
        await finishObjectFile(file, version);
        await this.place(unfinished, version);
        return version;
      });
    } finally {
      await file.close();
      await rm(unfinished, { force: true });
    }
  }

  /** Deletes for good one version, or the object of an unversioned bucket; adds a delete marker in a versioned one. */
  async delete(key: string, versionId?: string): Promise<{ versionId?: string; deleteMarker?: boolean }> {
    return this.turns.take(key, async () => {
      if (versionId !== undefined) {
        const version = this.version(key, versionId);
        if (!version) return { versionId };
        await this.remove(version);
        return { versionId, ...(version.deleteMarker ? { deleteMarker: true } : {}) };
      }
      if (!this.versioned) {
        const version = this.version(key, unversionedId);
        if (version) await this.remove(version);
        return {};
      }
      const marker = this.next(key, {
        size: 0,
        etag: '',
        headers: {},
        metadata: {},
        checksums: {},
        deleteMarker: true,
      });
      const unfinished = path.join(this.dir, 'uploads', randomUUID());
      const file = await open(unfinished, 'wx', 0o600);
      await finishObjectFile(file, marker).finally(() => file.close());
      await this.place(unfinished, marker);
      return { versionId: marker.versionId, deleteMarker: true };
    });
  }

  private check(key: string, { ifNoneMatch, ifMatch }: WriteCondition): void {
    const current = this.current(key);
    if (ifNoneMatch === '*' && current) {
      throw new AwsError(
        'PreconditionFailed',
        'At least one of the pre-conditions you specified did not hold',
        412,
        {
          members: { Condition: 'If-None-Match' },
        },
      );
    }
    if (ifMatch === undefined) return;
    if (!current) throw new AwsError('NoSuchKey', 'The specified key does not exist.', 404);
    if (current.etag !== ifMatch.replaceAll('"', '')) {
      throw new AwsError(
        'PreconditionFailed',
        'At least one of the pre-conditions you specified did not hold',
        412,
        {
          members: { Condition: 'If-Match' },
        },
      );
    }
  }

  private next(
    key: string,
    content: Pick<ObjectVersion, 'size' | 'etag' | 'headers' | 'metadata' | 'checksums' | 'deleteMarker'>,
  ): ObjectVersion {
    const sequence = this.sequence + 1;
    this.sequence = sequence;
    const versionId = this.versioned
      ? `${sequence.toString(36)}.${randomBytes(12).toString('base64url')}`
      : unversionedId;
    return { key, versionId, sequence, lastModified: this.now(), ...content };
  }

  private async place(unfinished: string, version: ObjectVersion): Promise<void> {
    const target = this.file(version);
    await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
    await rename(unfinished, target);
    this.remember(version);
  }

  private async remove(version: ObjectVersion): Promise<void> {
    await rm(this.file(version), { force: true });
    const left = (this.versions.get(version.key) ?? []).filter((one) => one.versionId !== version.versionId);
    if (left.length > 0) this.versions.set(version.key, left);
    else this.versions.delete(version.key);
    this.list(version.key);
  }

  private remember(version: ObjectVersion): void {
    const others = (this.versions.get(version.key) ?? []).filter(
      (one) => one.versionId !== version.versionId,
    );
    this.versions.set(
      version.key,
      [version, ...others].sort((a, b) => b.sequence - a.sequence),
    );
    this.sequence = Math.max(this.sequence, version.sequence);
    this.list(version.key);
  }

  private list(key: string): void {
    if (this.current(key)) this.listed.add(key);
    else this.listed.delete(key);
  }

  /** Named by hash: a key is any text of up to 1,024 bytes, a file's name is not. */
  private file(version: ObjectVersion): string {
    const hash = createHash('sha256').update(version.key).digest('hex');
    return path.join(this.dir, 'objects', hash.slice(0, 2), `${hash}.${version.versionId}`);
  }
}
