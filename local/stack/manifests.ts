import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { catalogue } from '../../core/release/catalogue.ts';
import { ManifestRepository } from '../../core/release/manifest-repository.ts';
import {
  type ManifestSource,
  type Mirrored,
  type MirroredRelease,
  mirrorReleases,
} from '../../functions/release-mirror/mirror-releases.ts';
import { Refusal } from '../../functions/release-mirror/refusal.ts';
import type { AwsEndpoint } from '../aws/endpoint.ts';
import { laptop } from '../template/intrinsics.ts';

/** Throws, for a terminal, when `--manifests` names no directory: that is a slip, and not a file that is lacking. */
export async function requireManifestDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (!found?.isDirectory()) throw new Error(`--manifests ${directory}: there is no such directory.`);
}

/** Manifests from `<directory>/<version>/<name>`, where the mirror of a deployment asks upstream. */
export const manifestsOf =
  (directory: string): ManifestSource =>
  async (version, { name, bytes }) => {
    const file = path.join(directory, version, name);
    try {
      return await firstBytes(file, bytes + 1);
    } catch (error) {
      const { code = String(error) } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') throw new Refusal('MISSING', `there is no ${file}`);
      throw new Refusal('UNREACHABLE', `${file} cannot be read (${code})`, { cause: error });
    }
  };

/** At most `limit` bytes: a file that is too large is known by one byte more than it should have. */
async function firstBytes(file: string, limit: number): Promise<Uint8Array> {
  await using handle = await open(file);
  const bytes = Buffer.alloc(limit);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(bytes, length, limit - length);
    length += bytesRead;
    if (bytesRead === 0 || length === limit) return bytes.subarray(0, length);
  }
}

type Target = {
  readonly endpoint: Pick<AwsEndpoint, 'url' | 'operator'>;
  readonly bucket: string;
  readonly releases?: readonly MirroredRelease[];
};

/** Brings what is lacking and right of a directory into the laptop's bucket of public assets, as the mirror would. */
export async function takeManifests(
  directory: string,
  { endpoint, bucket, releases = catalogue().releases }: Target,
): Promise<Mirrored> {
  const s3 = new S3Client({
    endpoint: endpoint.url,
    region: laptop.region,
    credentials: endpoint.operator,
    forcePathStyle: true,
  });
  try {
    return await mirrorReleases({
      releases,
      mirror: new ManifestRepository(s3, bucket),
      source: manifestsOf(directory),
    });
  } finally {
    s3.destroy();
  }
}

/** What became of it, line by line. What is refused stops nothing: the API then leads to upstream. */
export function mirroredInWords({ stored, present, refused }: Mirrored): string[] {
  const here = stored.length + present;
  return [
    `${here} of ${here + refused.length} manifests are mirrored${stored.length > 0 ? `, ${stored.length} of them now` : ''}`,
    ...refused.map(
      ({ version, name, why }) => `  not ${version}/${name}: ${why}; clusters fetch it from upstream`,
    ),
  ];
}
