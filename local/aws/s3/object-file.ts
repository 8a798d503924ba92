import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import * as z from 'zod';

/**
 * One version of one object, as one file: the body, then a JSON trailer, then 8 bytes: the trailer's length (uint32, big
 * endian) and a mark. Because body and description are one file that is renamed into place, there is never one without the
 * other, whenever the process is killed.
 */
export const objectSchema = z.object({
  key: z.string(),
  /** `null` in a bucket without versions, as in S3. */
  versionId: z.string(),
  /** Grows with every write of the bucket: the newest version of a key has the highest. */
  sequence: z.number(),
  size: z.number(),
  /** Hex MD5. */
  etag: z.string(),
  /** Epoch milliseconds. */
  lastModified: z.number(),
  deleteMarker: z.boolean(),
  /** Content-Type, Cache-Control, …; names in lower case. */
  headers: z.record(z.string(), z.string()),
  /** `x-amz-meta-…` without the prefix. */
  metadata: z.record(z.string(), z.string()),
  /** Base64, by algorithm. */
  checksums: z.record(z.string(), z.string()),
});
export type ObjectVersion = z.infer<typeof objectSchema>;

const mark = Buffer.from('CTY1');
const footerBytes = 8;

/** Appends the trailer to the body already written. */
export async function finishObjectFile(file: FileHandle, version: ObjectVersion): Promise<void> {
  const trailer = Buffer.from(JSON.stringify(version));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(trailer.length);
  await file.appendFile(Buffer.concat([trailer, length, mark]));
}

/** Reads the description of a stored object. Throws when the file is not one of ours. */
export async function readObjectFile(path: string): Promise<ObjectVersion> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const footer = Buffer.alloc(footerBytes);
    await file.read(footer, 0, footerBytes, Math.max(0, size - footerBytes));
    const length = footer.readUInt32BE(0);
    if (size < footerBytes || !footer.subarray(4).equals(mark) || length > size - footerBytes) {
      throw new Error(`Not an object file: ${path}`);
    }
    const trailer = Buffer.alloc(length);
    await file.read(trailer, 0, length, size - footerBytes - length);
    return objectSchema.parse(JSON.parse(trailer.toString('utf8')));
  } finally {
    await file.close();
  }
}
