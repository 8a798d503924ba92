import {
  type AdmissionBundle,
  type BundledImage,
  isLater,
  knownAt,
  type NameOfImage,
  resolveNames,
} from './admission-bundle.ts';
import type { KnownImage } from './known-image.ts';

/**
 * The images of a bundle by name, changed image by image by deltas. As quick with 50,000 images as with one, also where
 * thousands have had a name in turn, as `latest` is given to each build.
 */
export class BundledImages {
  readonly #images = new Map<string, BundledImage>();
  /** Of each alias a list for each platform, the image that was scanned last first. */
  readonly #names = new Map<string, NameOfImage[][]>();

  get size(): number {
    return this.#images.size;
  }

  /** Takes what one part of a bundle brings. The same part again changes nothing. */
  apply({ images, removed = [] }: Pick<AdmissionBundle, 'images' | 'removed'>): void {
    for (const digest of removed) this.#remove(digest);
    for (const image of images) this.#put(image);
  }

  /** What is known at a moment under an alias (`aliasOf`): of a tag, or an index, several images may be. */
  named(alias: string, now: number): KnownImage[] {
    // What has expired owns no name any more: it may be gone from the next bundle, which must not change an answer.
    const isThere = ({ digest }: NameOfImage) => (this.#images.get(digest)?.expiresAt ?? 0) > now;
    const owners = (this.#names.get(alias) ?? []).flatMap((onPlatform) => onPlatform.find(isThere) ?? []);
    // A digest is its image's own name, whatever else has been called so.
    const digests = new Set([alias, ...resolveNames(owners)]);
    return [...digests].flatMap((digest) => {
      const image = this.#images.get(digest);
      return (image && knownAt(image, now)) ?? [];
    });
  }

  #put(image: BundledImage): void {
    this.#remove(image.digest);
    this.#images.set(image.digest, image);
    for (const { alias, platform, scannedAt } of image.names) {
      const name = { digest: image.digest, platform, scannedAt };
      const platforms = this.#names.get(alias) ?? [];
      if (platforms.length === 0) this.#names.set(alias, platforms);
      const others = platforms.find(([first]) => first?.platform === platform);
      if (others) others.splice(placeOf(name, others), 0, name);
      else platforms.push([name]);
    }
  }

  #remove(digest: string): void {
    const image = this.#images.get(digest);
    if (!image) return;
    this.#images.delete(digest);
    for (const alias of new Set(image.names.map((name) => name.alias))) {
      const left = (this.#names.get(alias) ?? [])
        .map((onPlatform) => onPlatform.filter((name) => name.digest !== digest))
        .filter(({ length }) => length > 0);
      if (left.length === 0) this.#names.delete(alias);
      else this.#names.set(alias, left);
    }
  }
}

/** Where a name stands among others, of which the latest is first. */
function placeOf(name: NameOfImage, others: readonly NameOfImage[]): number {
  let [low, high] = [0, others.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = others[middle];
    if (other && isLater(other, name)) low = middle + 1;
    else high = middle;
  }
  return low;
}
