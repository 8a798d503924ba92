import { pathOf } from '../admission/image-reference.ts';
import { referenceIn } from './image-name.ts';
import type { JudgedImage } from './scanned-image.ts';

/** All that an image is known by: what policies, exceptions and statements can mean it by. */
export type ImageIdentity = {
  /** Its own, and those that reports give for it: of its index, in other repositories. */
  readonly digests: ReadonlySet<string>;
  /** `<registry>/<repository>` → the tags under which it was scanned there. */
  readonly repositories: ReadonlyMap<string, ReadonlySet<string>>;
  /** `urn:cdx:<serial>/<version>`. */
  readonly boms: ReadonlySet<string>;
  /** `amd64`, without variants. */
  readonly architectures: ReadonlySet<string>;
};

export function identityOf({ digest, results, names = [] }: JudgedImage): ImageIdentity {
  const repositories = new Map<string, Set<string>>();
  // Names outlive the results that have had them: an image that is scanned by its digest alone is still what it was.
  const aliases = names.map(({ alias }) => alias);
  const texts = [
    ...results.flatMap(({ aliases: { references }, image }) => [...references, ...(image ? [image] : [])]),
    ...aliases.filter((alias) => !isDigest(alias)),
  ];
  for (const text of new Set(texts)) {
    const reference = referenceIn(text);
    // Archives, bills of materials and what people call their images by hand are in no repository.
    if (!reference) continue;
    const path = pathOf(reference);
    const tags = repositories.get(path) ?? new Set();
    repositories.set(path, tags);
    if (reference.tag !== undefined) tags.add(reference.tag);
  }
  const platforms = results.flatMap(({ aliases: { platform } }) => platform ?? []);
  return {
    digests: new Set([
      digest,
      ...results.flatMap(({ aliases: { digests } }) => digests),
      ...aliases.filter(isDigest),
    ]),
    repositories,
    boms: new Set(results.flatMap(({ bom }) => bom ?? [])),
    architectures: new Set(platforms.flatMap((platform) => platform.split('/')[1] ?? [])),
  };
}

const isDigest = (alias: string): boolean => /^sha\d+:[0-9a-f]+$/.test(alias);
