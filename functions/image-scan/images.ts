import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page, PageQuery } from '../../core/api/page.ts';
import {
  type ImageAliases,
  type ImagePolicy,
  type ImageView,
  type Verdict,
  verdicts,
} from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';
import type { Evidence } from './evidence.ts';
import type { ImageRecord } from './image-repository.ts';
import { reached } from './reached.ts';
import { judge } from './verdict.ts';

type Images = Pick<Dependencies, 'images' | 'policies'>;

/** Findings that each reason shows in lists; the image itself shows up to 50. */
export const shownInLists = 3;
/** Images that one list request looks at; with a rare verdict a page may end early, with a cursor. */
const maxLookedAt = 1_000;
/** A page ends after so many bytes (Lambda answers 6 MB at most). */
const maxPageBytes = 2 * 1024 * 1024;
const listName = 'images';

/** The image under the policy of this moment; NOT_FOUND. Units: 2 reads, and 1 more per further 4 KB of its items. */
export async function imageView(
  { images, policies }: Images,
  tenantId: string,
  digest: string,
): Promise<ImageView> {
  const [records, policy] = await reached(
    'The table of images',
    Promise.all([images.find(tenantId, digest), policies.read(tenantId)]),
  );
  const shown = view(records, policy);
  if (!shown) throw new Problem('NOT_FOUND');
  return shown;
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
    const found = await reached('The table of images', images.list(tenantId, { limit: wanted, after }));
    for (const [index, records] of found.images.entries()) {
      const judged = view(records, policy, shownInLists);
      if (!judged) continue;
      after = judged.digest;
      lookedAt += records.length;
      if (verdict === undefined || judged.verdict === verdict) {
        items.push(judged);
        bytes += Buffer.byteLength(JSON.stringify(judged));
      }
      const last = index === found.images.length - 1 && !found.more;
      if (last) return { items };
      if (items.length >= limit || bytes >= maxPageBytes || lookedAt >= maxLookedAt) {
        return { items, nextCursor: encodeCursor(tenantId, listName, after) };
      }
    }
    if (!found.more) return { items };
  }
}

/** An image has the verdict of the scanner that judges it worst, of several the latest. */
function view(records: readonly ImageRecord[], policy: ImagePolicy, shown = Infinity): ImageView | undefined {
  const scans = records
    .map((record) => ({ record, ...shownJudgement(record.evidence, policy, shown) }))
    .sort((a, b) => harshness(b.verdict) - harshness(a.verdict) || b.record.scannedAt - a.record.scannedAt);
  const [deciding] = scans;
  if (!deciding) return undefined;
  const { record, ...judgement } = deciding;
  const { digest, image, counts } = record;
  return {
    digest,
    ...(image === undefined ? {} : { image }),
    aliases: allAliases(records),
    ...judgement,
    counts,
    ...scanOf(record),
    scans: scans.map((each) => ({
      ...scanOf(each.record),
      verdict: each.verdict,
      counts: each.record.counts,
    })),
  };
}

const harshness = (verdict: Verdict): number => verdicts.indexOf(verdict);

const scanOf = ({ scanId, scanner, databaseAt, scannedAt }: ImageRecord) => ({
  scanId,
  scanner,
  ...(databaseAt === undefined ? {} : { databaseAt: new Date(databaseAt).toISOString() }),
  scannedAt: new Date(scannedAt).toISOString(),
});

/** What any of the scanners has called the image. */
function allAliases(records: readonly ImageRecord[]): ImageAliases {
  const all = records.map(({ aliases }) => aliases);
  const imageId = all.find((each) => each.imageId !== undefined)?.imageId;
  const platform = all.find((each) => each.platform !== undefined)?.platform;
  return {
    references: [...new Set(all.flatMap(({ references }) => references))],
    digests: [...new Set(all.flatMap(({ digests }) => digests))],
    ...(imageId === undefined ? {} : { imageId }),
    ...(platform === undefined ? {} : { platform }),
  };
}

/** Verdict, reasons and what does not count, with up to `shown` findings of each reason and of those. */
export function shownJudgement(
  evidence: Evidence,
  policy: ImagePolicy,
  shown = Infinity,
): Pick<ImageView, 'verdict' | 'reasons' | 'suppressed'> {
  const { verdict, reasons } = judge(evidence, policy);
  const { total, worst } = evidence.suppressed;
  return {
    verdict,
    reasons: reasons.map((reason) => ({ ...reason, findings: reason.findings.slice(0, shown) })),
    suppressed: { total, findings: worst.slice(0, shown) },
  };
}
