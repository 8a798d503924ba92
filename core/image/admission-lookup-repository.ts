import { admissionPolicyKey } from '../admission/admission-policy-repository.ts';
import { getAll, type Item, type ItemKey } from '../aws/batches.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { imageOf } from './image-item.ts';
import { maxAliasBytes } from './image-name.ts';
import { imageNameKey, imagesNamedIn, type NamedImage } from './image-name-repository.ts';
import { imageKey } from './image-repository.ts';
import { rulesKey } from './image-rules-repository.ts';
import { digestPattern } from './image-schema.ts';
import type { JudgedImage } from './scanned-image.ts';

/** An image as it is judged, of one revision. */
export type LookedUpImage = JudgedImage & { readonly revision: number };

export type Lookup = {
  /** By each alias that was asked for and is known; of a name several images may be: one a platform, each image once. */
  readonly images: ReadonlyMap<string, readonly LookedUpImage[]>;
  /** Items of the image rules and of the admission policy as they are stored; absent: the tenant has set none. */
  readonly rules: Item | undefined;
  readonly admission: Item | undefined;
};

/**
 * All that a review needs, in one batch and strongly consistent: so a verdict follows what was changed before the review
 * came. Units: a read per 4 KB of each item; 1 for a tag whose image has up to some 100 findings (a name's copy has
 * 1 to 4 KB for each 100), 2 for a digest (the image's own item, and the names of others: 1 also where there is nothing),
 * 2 for rules and policy. A second batch is needed for tags of images with thousands of findings, whose names have no
 * copy (above 16 KB), and for more than 100 items.
 */
export class AdmissionLookupRepository {
  readonly #access: TenantAccess;
  readonly #table: string;
  readonly #now: () => number;

  constructor(access: TenantAccess, tenantTable: string, now: () => number = Date.now) {
    this.#access = access;
    this.#table = tenantTable;
    this.#now = now;
  }

  /** `aliases` as `aliasOf` makes them, each once. */
  async find(tenantId: string, aliases: readonly string[]): Promise<Lookup> {
    const asked = aliases.filter((alias) => alias !== '' && Buffer.byteLength(alias) <= maxAliasBytes);
    const policyKeys = { rules: rulesKey(tenantId), admission: admissionPolicyKey(tenantId) };
    const items = await this.#get(tenantId, [
      policyKeys.rules,
      policyKeys.admission,
      ...asked.map((alias) => imageNameKey(tenantId, alias)),
      ...asked.filter(isDigest).map((digest) => imageKey(tenantId, digest)),
    ]);

    const now = this.#now();
    const named = new Map(
      asked.map((alias) => {
        const item = items.get(textOf(imageNameKey(tenantId, alias)));
        return [alias, item ? imagesNamedIn(item).filter(({ expiresAt }) => expiresAt > now) : []];
      }),
    );
    const whole = new Map<string, LookedUpImage>();
    const take = (digests: readonly string[], from: ReadonlyMap<string, Item>) => {
      for (const digest of digests) {
        const item = from.get(textOf(imageKey(tenantId, digest)));
        const image = item && imageOf(item);
        if (image && image.expiresAt > now) whole.set(digest, image);
      }
    };
    take(asked.filter(isDigest), items);
    const missing = [...named.values()]
      .flat()
      .filter(({ judged, digest }) => !judged && !whole.has(digest))
      .map(({ digest }) => digest);
    if (missing.length > 0) {
      take(
        missing,
        await this.#get(
          tenantId,
          missing.map((digest) => imageKey(tenantId, digest)),
        ),
      );
    }

    const images = new Map<string, readonly LookedUpImage[]>();
    for (const [alias, entries] of named) {
      const own = whole.get(alias);
      const found = newestOfEach([
        ...(own ? [own] : []),
        ...entries.flatMap((entry) => readyOf(entry, whole)),
      ]);
      if (found.length > 0) images.set(alias, found);
    }
    return {
      images,
      rules: items.get(textOf(policyKeys.rules)),
      admission: items.get(textOf(policyKeys.admission)),
    };
  }

  async #get(tenantId: string, keys: readonly ItemKey[]): Promise<ReadonlyMap<string, Item>> {
    const items = await getAll(this.#access(tenantId).dynamo, this.#table, keys, { consistent: true });
    return new Map(items.map((item) => [textOf({ pk: String(item.pk), sk: String(item.sk) }), item]));
  }
}

const isDigest = (alias: string): boolean => digestPattern.test(alias);
const textOf = ({ pk, sk }: ItemKey): string => `${pk}\n${sk}`;

/** The image where it lies, if that has been read: no copy is newer. */
function readyOf(
  { digest, revision, judged }: NamedImage,
  whole: ReadonlyMap<string, LookedUpImage>,
): LookedUpImage[] {
  const image = whole.get(digest) ?? (judged && { ...judged, revision });
  return image ? [image] : [];
}

/** An image may be known under a name on several platforms, as reports say different things of it. */
function newestOfEach(images: readonly LookedUpImage[]): readonly LookedUpImage[] {
  const newest = new Map<string, LookedUpImage>();
  for (const image of images) {
    if ((newest.get(image.digest)?.revision ?? -1) < image.revision) newest.set(image.digest, image);
  }
  return [...newest.values()];
}
