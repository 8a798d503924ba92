import type { BundledImage } from '../../core/admission/admission-bundle.ts';
import type { ImageRules } from '../../core/image/image-rules.ts';
import type { ScannedImage } from '../../core/image/scanned-image.ts';
import { bundledImage } from './bundled-image.ts';

/** Where a part ends. */
export type BundleLimits = {
  readonly images: number;
  /** Of the part's JSON, which its signed form carries in base64: 2.2 MB become less than 3 MB. */
  readonly bytes: number;
  /** Milliseconds of work after which no further images are read: the gateway waits 29 s. */
  readonly patience: number;
};
export const bundleLimits: BundleLimits = { images: 1_000, bytes: 2_200_000, patience: 8_000 };

/** A part that is being filled. */
export class BundlePart {
  readonly images: BundledImage[] = [];
  readonly removed: string[] = [];
  readonly #limits: BundleLimits;
  readonly #rules: ImageRules;
  /** When all of it is judged. */
  readonly #at: number;
  readonly #clock: () => number;
  readonly #seen = new Set<string>();
  #bytes = 0;

  constructor(limits: BundleLimits, rules: ImageRules, at: number, clock: () => number) {
    this.#limits = limits;
    this.#rules = rules;
    this.#at = at;
    this.#clock = clock;
  }

  get size(): number {
    return this.#seen.size;
  }
  has(digest: string): boolean {
    return this.#seen.has(digest);
  }
  /** How many more it may take; none once its time is over, but for the first. */
  get room(): number {
    const { images, patience } = this.#limits;
    const isLate = this.#clock() - this.#at > patience;
    return isLate && this.size > 0 ? 0 : images - this.size;
  }

  /** Takes an image, or that it is gone. False: it has no place here any more. */
  add(digest: string, image: ScannedImage | undefined): boolean {
    if (this.room <= 0) return false;
    const isKnown = image !== undefined && image.expiresAt > this.#at && image.results.length > 0;
    const entry = isKnown ? bundledImage(image, this.#rules, this.#at) : undefined;
    const bytes = entry ? Buffer.byteLength(JSON.stringify(entry)) + 1 : digest.length + 3;
    if (this.#bytes + bytes > this.#limits.bytes && this.size > 0) return false;
    this.#bytes += bytes;
    this.#seen.add(digest);
    if (entry) this.images.push(entry);
    else this.removed.push(digest);
    return true;
  }
}
