import { encodeEvidence, worstFirst } from '../../core/image/evidence.ts';
import type { ImageRules } from '../../core/image/image-rules.ts';
import { ScanPages } from '../../core/image/scan-pages.ts';
import {
  type JudgedOutcome,
  lazyEvidence,
  resultOf,
  type ScannedImage,
  type ScanOutcome,
} from '../../core/image/scanned-image.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import type { NewOutcome } from './scan-outcome.ts';
import { recordedAfter } from './verdict-changes.ts';

type Stores = Pick<
  Dependencies,
  'images' | 'names' | 'cards' | 'pages' | 'history' | 'changes' | 'retentionMs'
>;

type Arrived = {
  readonly outcome: NewOutcome;
  /** Key of the report, which is stored. */
  readonly reportKey: string;
  readonly clusterId: string | undefined;
  readonly rules: ImageRules;
  /** Epoch milliseconds. */
  readonly now: number;
};

export type Kept = {
  /** What the report says of the image: it alone is judged in the answer. */
  readonly result: JudgedOutcome & Pick<ScanOutcome, 'scanId' | 'counts'>;
  /** False: a newer result of the same scanner's is there. */
  readonly isLatest: boolean;
};

const [imagesPart, findingsPart] = ['The table of images', 'The table of findings'];

/**
 * Stores what a report says of one image. What is written before the image's item changes nothing by itself: pages of
 * findings that nothing points at, a note that the image changes. That one item decides what the image's verdict is,
 * and what follows from it comes after: its names, its card, its history. Whatever stops it in between, the same report
 * again writes what is missing and leaves the rest as it is. Units: those of each repository; test/functions/image-scan
 * pins them.
 */
export async function keepScan(stores: Stores, tenantId: string, arrived: Arrived): Promise<Kept> {
  const { images, names, cards, pages, history, changes, retentionMs } = stores;
  const { outcome, reportKey, clusterId, rules, now } = arrived;
  const { digest, findings, evidence, ...facts } = outcome;
  const { scannerName, scanId, scannedAt } = facts;
  const expiresAt = now + retentionMs;
  const own = new ScanPages(pages, tenantId, {
    digest,
    scannerName,
    scanId,
    scannedAt,
    findings: worstFirst(findings),
    expiresAt,
  });
  const written = (before: ScannedImage | undefined) => reached(findingsPart, own.before(before));

  const found = await reached(imagesPart, images.find(tenantId, digest));
  const result = {
    ...facts,
    evidence: encodeEvidence(evidence),
    reportKey,
    pages: await written(found),
  };
  await reached(imagesPart, changes.note(tenantId, digest, now));
  const keeping = images.keep(
    tenantId,
    digest,
    { result, clusterId, at: now, expiresAt },
    {
      found,
      pages: written,
      recorded: (before, after) => recordedAfter({ before, after, rules, scan: result, now }),
    },
  );
  const kept = await reached(imagesPart, keeping).catch(async (error: unknown) => {
    // There is no room for it: nothing will ever point at these.
    if (error instanceof Problem && error.code === 'LIMIT_REACHED') {
      await reached(findingsPart, own.deleteOthers(undefined));
    }
    throw error;
  });
  await reached(
    imagesPart,
    Promise.all([names.keep(tenantId, kept.image), cards.keep(tenantId, kept.image)]),
  );
  await reached('The history of images', history.keep(tenantId, digest, kept.history, retentionMs));

  await reached(findingsPart, own.deleteOthers(kept.image));
  if (kept.replaced) await reached(findingsPart, pages.delete(tenantId, kept.replaced));
  const latest = resultOf(kept.image, scannerName);
  const said = latest?.scanId === scanId ? latest : { ...result, evidence: lazyEvidence(result.evidence) };
  return { result: said, isLatest: kept.kept };
}
