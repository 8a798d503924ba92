import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Release } from '../core/release/release-schema.ts';

export type ManifestVerdict = {
  /** `<version>/<name>` */
  readonly file: string;
  readonly verdict: 'ok' | 'changed' | 'missing' | 'unreadable';
  /** In words, for all but `ok`. */
  readonly why?: string;
};

/** Compares `<directory>/<version>/<name>` of every manifest of some releases with what the catalogue says. */
export async function checkManifests(
  directory: string,
  releases: readonly Release[],
): Promise<readonly ManifestVerdict[]> {
  const verdicts: ManifestVerdict[] = [];
  for (const { version, manifests } of releases) {
    for (const { name, sha256, bytes } of manifests) {
      const file = `${version}/${name}`;
      verdicts.push({ file, ...(await verdictOn(path.join(directory, version, name), { sha256, bytes })) });
    }
  }
  return verdicts;
}

async function verdictOn(
  file: string,
  wanted: { readonly sha256: string; readonly bytes: number },
): Promise<Omit<ManifestVerdict, 'file'>> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR'
      ? { verdict: 'missing', why: `there is no ${file}` }
      : { verdict: 'unreadable', why: code };
  }
  const found = createHash('sha256').update(content).digest('hex');
  if (found === wanted.sha256 && content.length === wanted.bytes) return { verdict: 'ok' };
  return {
    verdict: 'changed',
    why: `it has ${content.length} bytes and SHA-256 ${found}, in the catalogue ${wanted.bytes} and ${wanted.sha256}`,
  };
}
