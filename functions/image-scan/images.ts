import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page, PageQuery } from '../../core/api/page.ts';
import type { ImagePolicy, ImageView, Verdict } from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';
import type { ImageRecord } from './image-repository.ts';
import { reached } from './reached.ts';
import { judge } from './verdict.ts';

type Images = Pick<Dependencies, 'images' | 'policies'>;

/** Findings that each reason shows in lists; the image itself shows up to 50. */
const shownInLists = 3;
/** Images that one list request looks at; with a rare verdict a page may end early, with a cursor. */
const maxLookedAt = 1_000;
/** A page ends after so many bytes (Lambda answers 6 MB at most). */
const maxPageBytes = 2 * 1024 * 1024;
const listName = 'images';

/** The image under the policy of this moment; NOT_FOUND. Units: 2 reads, and 1 more per further 4 KB of the item. */
export async function imageView(
  { images, policies }: Images,
  tenantId: string,
  digest: string,
): Promise<ImageView> {
  const [record, policy] = await reached(
    'The table of images',
    Promise.all([images.find(tenantId, digest), policies.read(tenantId)]),
  );
  if (!record) throw new Problem('NOT_FOUND');
  return view(record, policy);
}

/**
 * A page of images in the order of their digests, judged under the policy of this moment; the verdict's filter meets
 * what was judged. Units: 1 read for the policy, half a read per 4 KB of what is looked at (up to 1,000 images with a filter).
 */
export async function listImages(
  { images, policies }: Images,
  tenantId: string,
  { limit, cursor, verdict }: PageQuery & { verdict?: Verdict | undefined },
): Promise<Page<ImageView>> {
  const items: ImageView[] = [];
  let after = decodeCursor(tenantId, listName, cursor);
  const policy = await reached('The image policy', policies.read(tenantId));
  let [lookedAt, bytes] = [0, 0];
  for (;;) {
    // One more than asked tells whether there is a next page.
    const wanted = verdict === undefined ? limit - items.length + 1 : 200;
    const { records, more } = await reached(
      'The table of images',
      images.list(tenantId, { limit: wanted, after }),
    );
    for (const [index, record] of records.entries()) {
      after = record.digest;
      lookedAt += 1;
      const judged = view(record, policy, shownInLists);
      if (verdict === undefined || judged.verdict === verdict) {
        items.push(judged);
        bytes += Buffer.byteLength(JSON.stringify(judged));
      }
      const last = index === records.length - 1 && !more;
      if (last) return { items };
      if (items.length >= limit || bytes >= maxPageBytes || lookedAt >= maxLookedAt) {
        return { items, nextCursor: encodeCursor(tenantId, listName, after) };
      }
    }
    if (!more) return { items };
  }
}

function view(record: ImageRecord, policy: ImagePolicy, shown = Infinity): ImageView {
  const { verdict, reasons } = judge(record.evidence, policy);
  return {
    digest: record.digest,
    ...(record.image === undefined ? {} : { image: record.image }),
    verdict,
    reasons: reasons.map((reason) => ({ ...reason, findings: reason.findings.slice(0, shown) })),
    counts: record.counts,
    scanId: record.scanId,
    scanner: record.scanner,
    scannedAt: new Date(record.scannedAt).toISOString(),
  };
}
