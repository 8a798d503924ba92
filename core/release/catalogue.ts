import { readdirSync, readFileSync } from 'node:fs';
import * as z from 'zod';
import { manifestNames, type Release, releaseFile, type ReleaseManifest } from './release-schema.ts';

/** The releases on offer: the default first, then the newest. Never empty. */
export type Catalogue = {
  readonly releases: readonly Release[];
  readonly find: (version: string) => Release | undefined;
};

/** One file of the catalogue is not what it must be; its message names the file and all that is wrong with it. */
export class CatalogueError extends Error {
  override readonly name = 'CatalogueError';
}

/** One file per release lies here; beside the bundle, too (lib/bundle.ts). Nothing else lists versions. */
const bundled = new URL('releases/', import.meta.url);

let known: Catalogue | undefined;

/** The product's own catalogue, read once, when it is first asked for. */
export const catalogue = (): Catalogue => (known ??= readCatalogue(bundled));

/** Reads every `<version>.json` of a directory; CatalogueError when one is broken, or not exactly one is the default. */
export function readCatalogue(directory: URL): Catalogue {
  const files = readdirSync(directory).filter((file) => file.endsWith('.json'));
  const releases = files
    .map((file) => readRelease(file, readFileSync(new URL(file, directory), 'utf8')))
    .sort((a, b) => Number(b.default) - Number(a.default) || newestFirst(a.version, b.version));
  const defaults = releases.filter((release) => release.default).map(({ version }) => version);
  if (defaults.length !== 1) {
    throw new CatalogueError(
      `Exactly one release must be the default; of ${releases.length} these are: ${defaults.join(', ') || 'none'}.`,
    );
  }
  const byVersion = new Map(releases.map((release) => [release.version, release]));
  return { releases, find: (version) => byVersion.get(version) };
}

function readRelease(file: string, text: string): Release {
  const wrong = (what: string) => new CatalogueError(`${file}: ${what}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  const parsed = releaseFile.safeParse(json);
  if (!parsed.success) throw wrong(z.prettifyError(parsed.error));
  const problems = contradictions(file, parsed.data);
  if (problems.length > 0) throw wrong(problems.join('; '));
  return parsed.data;
}

/** What no schema of single members sees. */
function contradictions(file: string, release: Release): string[] {
  const { version, operatorVersion, kubernetes, manifests, images } = release;
  const names = manifests.map(({ name }) => name);
  const references = images.map(({ image }) => image);
  const operator = `/operator:${operatorVersion}`;
  return [
    ...(file === `${version}.json` ? [] : [`it is about ${version}: its name must be ${version}.json`]),
    ...(minor(kubernetes.min) <= minor(kubernetes.max) ? [] : ['kubernetes.min is above kubernetes.max']),
    ...(names.join() === manifestNames.join()
      ? []
      : [`manifests must be ${manifestNames.join(', ')}, in this order`]),
    // At the release's tag: what a branch serves changes, and its digest with it.
    ...manifests.flatMap(({ name, url }) =>
      url.endsWith(`/${version}/manifests/${name}`)
        ? []
        : [`the URL of ${name} must end in /${version}/manifests/${name}`],
    ),
    ...(new Set(references).size === references.length ? [] : ['an image is listed twice']),
    ...(images.some(({ image, use }) => image.endsWith(operator) && use === 'always')
      ? []
      : [`no image of use always ends in ${operator}`]),
  ];
}

const minor = (kubernetesVersion: string): number => Number(kubernetesVersion.split('.')[1]);

function newestFirst(a: string, b: string): number {
  const [of, than] = [numbers(b), numbers(a)];
  const at = of.findIndex((each, index) => each !== than[index]);
  return (of[at] ?? 0) - (than[at] ?? 0);
}

const numbers = (version: string): number[] => version.slice(1).split('.').map(Number);

/** The manifest of that name; undefined for any other name. */
export const manifestOf = ({ manifests }: Release, name: string): ReleaseManifest | undefined =>
  manifests.find((manifest) => manifest.name === name);
