import { createHash } from 'node:crypto';
import type { ManifestRepository } from '../../core/release/manifest-repository.ts';
import type { Release, ReleaseManifest } from '../../core/release/release-schema.ts';
import { Refusal, type RefusalCode } from './refusal.ts';

/** What the mirror asks of a release. */
export type MirroredRelease = Pick<Release, 'version' | 'manifests'>;

/** Gives a manifest's bytes, at most one more than the catalogue says; throws a `Refusal` when it cannot. */
export type ManifestSource = (version: string, manifest: ReleaseManifest) => Promise<Uint8Array>;

export type Refused = {
  readonly version: string;
  readonly name: string;
  readonly code: RefusalCode;
  /** In words, for operators: no address of ours, nothing secret. */
  readonly why: string;
};
export type Mirrored = {
  /** `<version>/<name>` of each manifest that was put now. */
  readonly stored: readonly string[];
  /** How many were there already: these are not fetched again. */
  readonly present: number;
  readonly refused: readonly Refused[];
};

type Options = {
  readonly releases: readonly MirroredRelease[];
  readonly mirror: Pick<ManifestRepository, 'mirrored' | 'put'>;
  readonly source: ManifestSource;
};

/**
 * Brings every manifest of the catalogue that is not mirrored yet from a source into the mirror, when length and SHA-256
 * are the catalogue's. What is refused is told, and keeps no other from being taken; nothing is deleted or replaced, so
 * the last good copy stays. Run again, it goes on with what is lacking. Never throws for a file. Costs one LIST for each
 * release, and one PUT for each manifest that is new. Releases go side by side, the files of one in turn: their size
 * three times is all the memory that it takes.
 */
export async function mirrorReleases({ releases, mirror, source }: Options): Promise<Mirrored> {
  const each = await Promise.all(releases.map((release) => mirrorRelease(release, mirror, source)));
  return {
    stored: each.flatMap(({ stored }) => stored),
    present: each.reduce((sum, { present }) => sum + present, 0),
    refused: each.flatMap(({ refused }) => refused),
  };
}

async function mirrorRelease(
  { version, manifests }: MirroredRelease,
  mirror: Options['mirror'],
  source: ManifestSource,
): Promise<Mirrored> {
  let present: ReadonlySet<string>;
  try {
    present = await ofStorage(mirror.mirrored(version));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { stored: [], present: 0, refused: manifests.map(({ name }) => refusedOf(version, name, error)) };
  }
  const lacking = manifests.filter(({ sha256 }) => !present.has(sha256));
  const stored: string[] = [];
  const refused: Refused[] = [];
  for (const manifest of lacking) {
    const { name, sha256 } = manifest;
    try {
      const bytes = await source(version, manifest);
      check(manifest, bytes);
      await ofStorage(mirror.put({ version, name, sha256 }, bytes));
      stored.push(`${version}/${name}`);
    } catch (error) {
      // What is no refusal is a mistake of ours: the function fails.
      if (!(error instanceof Refusal)) throw error;
      refused.push(refusedOf(version, name, error));
    }
  }
  return { stored, present: manifests.length - lacking.length, refused };
}

/** Throws unless the bytes are those that the catalogue names. */
function check(manifest: ReleaseManifest, bytes: Uint8Array): void {
  const wanted = `${manifest.bytes} bytes`;
  if (bytes.length > manifest.bytes) throw new Refusal('TOO_LARGE', `it has more than ${wanted}`);
  if (bytes.length < manifest.bytes) throw new Refusal('TRUNCATED', `it has ${bytes.length} of ${wanted}`);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== manifest.sha256)
    throw new Refusal('CHANGED', `its SHA-256 is ${found}, not ${manifest.sha256} as in the catalogue`);
}

/** What S3 says of itself, under our name for it. */
async function ofStorage<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new Refusal('STORAGE', `our storage failed: ${nameOf(error)}`, { cause: error });
  }
}

const refusedOf = (version: string, name: string, { code, message }: Refusal): Refused => ({
  version,
  name,
  code,
  why: message,
});

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown');
