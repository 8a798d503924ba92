import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page, PageQuery } from '../../core/api/page.ts';
import type { ImagesFilter, ListedImage } from '../../core/image/image-search-schema.ts';
import type { ScannedImage } from '../../core/image/scanned-image.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { candidates, listOf, maxLookedAt, searchMs } from './image-search.ts';
import { imageView, type Judging, shownInLists } from './image-view.ts';
import { asksForFindings, matchingFindings } from './matching-findings.ts';

type Stores = Pick<Dependencies, 'images' | 'cards' | 'pages' | 'rules' | 'now'>;

/** A page ends after so many bytes (Lambda answers 6 MB at most). */
const maxPageBytes = 2 * 1024 * 1024;
/** Images that are read at once at most. */
const maxBatch = 500;

/**
 * A page of images in the order of their digests, judged under the rules of this moment; with a filter those that have all of
 * it. A page ends early, with a cursor, after 5,000 images that were judged, 2 MB, or 10 s. Other images may come and go
 * between pages: those that stay are each listed once. Units: those of the rules and of `candidates`: a page of 50 out of all
 * images 25, the images of a tenant with 50,000 that have a vulnerability 5,300 and half a one each.
 */
export async function listImages(
  deps: Stores,
  tenantId: string,
  { limit, cursor, ...filter }: PageQuery & ImagesFilter,
): Promise<Page<ListedImage>> {
  const list = listOf('images', filter);
  const after = decodeCursor(tenantId, list, cursor);
  const { rules, now } = deps;
  const began = now();
  const judging = {
    rules: await reached('The rules for images', rules.ready(tenantId)),
    now: began,
    shown: shownInLists,
  };

  const items: ListedImage[] = [];
  let [lookedAt, bytes] = [0, 0];
  const ended = (at: string) => ({ items, nextCursor: encodeCursor(tenantId, list, at) });
  // One more than asked tells whether there is a next page.
  for await (const batch of candidates(deps, tenantId, filter, { after, first: limit + 1, most: maxBatch })) {
    for (const [index, image] of batch.images.entries()) {
      lookedAt += 1;
      const shown = await listed(deps, tenantId, image, { filter, judging });
      if (shown) {
        items.push(shown);
        bytes += Buffer.byteLength(JSON.stringify(shown));
      }
      const isLast = index === batch.images.length - 1 && batch.next === undefined;
      const isFull = items.length >= limit || bytes >= maxPageBytes;
      if (!isLast && (isFull || lookedAt >= maxLookedAt || now() - began >= searchMs))
        return ended(image.digest);
    }
    if (batch.next !== undefined && now() - began >= searchMs) return ended(batch.next);
  }
  return { items };
}

/** The image as it is listed; undefined: it is not asked for. */
async function listed(
  deps: Pick<Dependencies, 'pages'>,
  tenantId: string,
  image: ScannedImage,
  { filter, judging }: { readonly filter: ImagesFilter; readonly judging: Judging },
): Promise<ListedImage | undefined> {
  const asks = asksForFindings(filter);
  const matching = asks ? await matchingFindings(deps, tenantId, image, { filter, judging }) : undefined;
  if (asks && !matching) return undefined;
  const view = imageView(image, judging);
  if (!view || (filter.verdict !== undefined && view.verdict !== filter.verdict)) return undefined;
  return { ...view, ...(matching ? { matching: { ...matching, findings: [...matching.findings] } } : {}) };
}
