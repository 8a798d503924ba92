import type { Answer } from '../../core/api/api-function.ts';
import { Problem } from '../../core/problem/problem.ts';
import { type Catalogue, manifestOf } from '../../core/release/catalogue.ts';
import type { Release, ReleaseDetail } from '../../core/release/release-schema.ts';
import { type Asset, assetHeaders, newAsset, notModified, textAsset } from './asset.ts';
import type { Dependencies } from './deps.ts';

/** The releases as a list shows them: the default first. */
export const releaseList = ({ releases }: Catalogue): Asset =>
  newAsset({ items: releases.map(({ manifests: _, images: __, ...offer }) => offer) });

/** The release of that version; NOT_FOUND when it is not on offer. */
export function releaseOf({ find }: Catalogue, version: string): Release {
  const release = find(version);
  if (!release) throw new Problem('NOT_FOUND');
  return release;
}

type Mirror = Pick<Dependencies, 'mirror'>;

/**
 * A release with all that a cluster of it needs. UNAVAILABLE while S3 does not say what is mirrored: one LIST. It is not
 * asked again once all is: copies are never taken away, and a changed catalogue comes with a new function.
 */
export function releaseDetails({ mirror }: Mirror, apiUrl: string): (release: Release) => Promise<Asset> {
  const complete = new Map<string, Asset>();
  return async (release) => {
    const known = complete.get(release.version);
    if (known) return known;
    const mirrored = await ofMirror(mirror.mirrored(release.version));
    const asset = newAsset(detail(release, mirrored, apiUrl));
    if (release.manifests.every(({ sha256 }) => mirrored.has(sha256))) complete.set(release.version, asset);
    return asset;
  };
}

/** `apiUrl`: base URL, a stage's path included. */
const detail = (release: Release, mirrored: ReadonlySet<string>, apiUrl: string): ReleaseDetail => ({
  ...release,
  manifests: release.manifests.map(({ name, sha256, bytes, url: upstream }) => ({
    name,
    sha256,
    bytes,
    url: `${apiUrl.replace(/\/+$/, '')}/v1/releases/${release.version}/manifests/${name}`,
    upstream,
    mirrored: mirrored.has(sha256),
  })),
});

/**
 * Upstream's file from our mirror, with its SHA-256 as entity tag; a redirect to S3 when a Lambda may not answer as much
 * at once, and to upstream when it is not mirrored. NOT_FOUND for a name that the release has not, UNAVAILABLE while S3
 * does not answer. One GET, none for who has it already.
 */
export async function manifestAnswer(
  { mirror }: Mirror,
  release: Release,
  name: string,
  ifNoneMatch: string | undefined,
): Promise<Answer> {
  const manifest = manifestOf(release, name);
  if (!manifest) throw new Problem('NOT_FOUND');
  const { sha256, url: upstream } = manifest;
  const etag = `"${sha256}"`;
  const unchanged = notModified(etag, ifNoneMatch);
  if (unchanged) return unchanged;
  const copy = await ofMirror(mirror.read({ version: release.version, name, sha256 }));
  if (copy && 'bytes' in copy) {
    return { body: Buffer.from(copy.bytes).toString('utf8'), headers: assetHeaders(etag) };
  }
  // Neither redirect may be stored: a signed URL ends, and a copy may be made at any time.
  return { status: 302, headers: { Location: copy?.url ?? upstream } };
}

/** The images that every cluster of a release pulls, and those of further uses (`all`: of all), one a line. */
export function imageList({ images }: Release, further: string | undefined): Asset {
  const uses = ['always', ...(further?.split(',') ?? [])];
  const lines = images
    .filter(({ use }) => uses.includes(use) || uses.includes('all'))
    .map(({ image, digest }) => (digest === undefined ? image : `${image}@${digest}`));
  return textAsset(lines.map((line) => `${line}\n`).join(''));
}

async function ofMirror<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Problem('UNAVAILABLE', 'The copies of the manifests cannot be reached.', { cause });
  }
}
