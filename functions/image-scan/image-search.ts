import { ImageGlob } from '../../core/image/image-glob.ts';
import type { CardFilter } from '../../core/image/image-card.ts';
import { severities } from '../../core/image/image-schema.ts';
import type { ImagesFilter } from '../../core/image/image-search-schema.ts';
import type { ScannedImage } from '../../core/image/scanned-image.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';

type Stores = Pick<Dependencies, 'images' | 'cards' | 'now'>;

/** Images that one request looks at; with a rare verdict its answer may be short, or empty, with a cursor. */
export const maxLookedAt = 5_000;
/** A request begins with nothing more after so long; the gateway waits 29 s. */
export const searchMs = 10_000;

export type Candidates = {
  readonly images: readonly ScannedImage[];
  /** Up to where everything has been looked at (a digest, or the beginning of one); absent: there is no more. */
  readonly next: string | undefined;
};

type Batches = {
  readonly after: string | undefined;
  /** Images of the first batch, and of the largest. */
  readonly first: number;
  readonly most: number;
};

/**
 * Images that may match, in the order of their digests, batch by batch: by their cards, where those tell, of which the
 * images themselves are then read; else all there are. Images that have expired and are still there are left out. Units:
 * half a read per 4 KB of each card that is looked at (0.9 KB with 100 findings) and of each image (2 to 4 KB).
 */
export async function* candidates(
  { images, cards, now }: Stores,
  tenantId: string,
  filter: ImagesFilter,
  { after, first, most }: Batches,
): AsyncGenerator<Candidates> {
  const told = cardFilterOf(filter);
  let [from, limit] = [after, first];
  do {
    const { found, next }: { found: readonly ScannedImage[]; next: string | undefined } = told
      ? await reached('The table of images', byCards({ images, cards }, tenantId, told, { from, limit }))
      : await reached('The table of images', inOrder(images, tenantId, { from, limit }));
    yield { images: found.filter(({ expiresAt }) => expiresAt > now()), next };
    from = next;
    limit = Math.min(most, limit * 4);
  } while (from !== undefined);
}

type Batch = { readonly from: string | undefined; readonly limit: number };

async function byCards(
  { images, cards }: Pick<Stores, 'images' | 'cards'>,
  tenantId: string,
  filter: CardFilter,
  { from, limit }: Batch,
) {
  const matching = await cards.matching(tenantId, filter, { limit, after: from });
  const found = await images.findMany(
    tenantId,
    matching.cards.map(({ digest }) => digest),
  );
  return { found, next: matching.next };
}

async function inOrder(images: Stores['images'], tenantId: string, { from, limit }: Batch) {
  const { images: found, more } = await images.list(tenantId, { limit, after: from });
  return { found, next: more ? found.at(-1)?.digest : undefined };
}

/**
 * What cards can tell, and never more than is asked for: they know nothing of exceptions and statements, nor which finding
 * is it that has a fix. Undefined: nothing.
 */
function cardFilterOf({
  vulnerability,
  severity,
  fixable,
  repository,
  cluster,
}: ImagesFilter): CardFilter | undefined {
  const glob = repository === undefined ? undefined : new ImageGlob(repository);
  const told: CardFilter = {
    ...(vulnerability === undefined ? {} : { vulnerability }),
    // What has no finding that counts has none without a fix.
    ...(severity ? { severities: severity } : fixable === 'false' ? { severities } : {}),
    ...(fixable === 'true' ? { fixable: true } : {}),
    ...(glob ? { repository: (path: string) => glob.matches(path) } : {}),
    ...(cluster === undefined ? {} : { clusterId: cluster }),
  };
  return Object.keys(told).length === 0 ? undefined : told;
}

/** A cursor is for the filter with which it was made. */
export const listOf = (name: string, filter: ImagesFilter): string =>
  `${name} ${JSON.stringify([
    filter.verdict,
    filter.severity,
    filter.vulnerability,
    filter.fixable,
    filter.repository,
    filter.cluster,
  ])}`;
