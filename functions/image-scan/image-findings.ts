import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page } from '../../core/api/page.ts';
import { isFixable } from '../../core/image/evidence.ts';
import { pageFindings, pagesOf } from '../../core/image/finding-page-repository.ts';
import type { FindingsQuery, ImageFinding } from '../../core/image/image-finding-schema.ts';
import type { Finding } from '../../core/image/image-schema.ts';
import { findingJudge } from '../../core/image/judge.ts';
import type { ScannedImage, ScanOutcome } from '../../core/image/scanned-image.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { knownImage } from './images.ts';

/** Stored pages that one request looks at; with a rare filter its answer may be short, or empty, with a cursor. */
const maxPages = 12;
/** An answer ends after so many bytes (Lambda answers 6 MB at most). */
const maxAnswerBytes = 2 * 1024 * 1024;

/** The next finding to look at. */
type Position = { readonly result: number; readonly page: number; readonly index: number };

/**
 * A page of an image's findings, one scanner after the other, each one's worst first, judged under the rules of this
 * moment. A cursor is for the results that it was made for: INVALID_CURSOR once one of them is replaced. NOT_FOUND.
 * Units: those of the image and the rules, and half a read per 4 KB of each stored page of 250 (about 3 for one).
 */
export async function imageFindings(
  deps: Pick<Dependencies, 'images' | 'rules' | 'pages' | 'now'>,
  { tenantId, digest, query }: { tenantId: string; digest: string; query: FindingsQuery },
): Promise<Page<ImageFinding>> {
  const { image, rules, now } = await knownImage(deps, tenantId, digest);
  const results = image.results
    .filter(({ scannerName }) => query.scanner === undefined || scannerName === query.scanner)
    .sort((a, b) => (a.scannerName < b.scannerName ? -1 : 1));
  const list = `findings ${digest}`;

  const items: ImageFinding[] = [];
  let [position, bytes, looked]: [Position | undefined, number, number] = [
    begin(results, decodeCursor(tenantId, list, query.cursor)),
    0,
    0,
  ];
  while (position && items.length < query.limit && bytes < maxAnswerBytes && looked < maxPages) {
    const result = results[position.result];
    if (!result) break;
    const stored = await reached(
      'The table of findings',
      deps.pages.page(tenantId, pagesOf(digest, result), position.page),
    );
    const findings = stored ?? kept(result, position.page);
    const judge = findingJudge(image, result, rules, now);
    looked += 1;
    let { index } = position;
    for (; index < findings.length && items.length < query.limit && bytes < maxAnswerBytes; index += 1) {
      const found = findings[index];
      if (!found || !isAsked(found, query)) continue;
      const { suppressed: _reported, ...rest } = found;
      const { rules: met, ...judged } = judge(found);
      const shown: ImageFinding = { ...rest, scanner: result.scannerName, ...judged, rules: [...met] };
      items.push(shown);
      bytes += Buffer.byteLength(JSON.stringify(shown));
    }
    position = index < findings.length ? { ...position, index } : following(results, position);
  }
  if (!position) return { items };
  return { items, nextCursor: encodeCursor(tenantId, list, written(results, position)) };
}

const isAsked = (found: Finding, { severity, fixable }: FindingsQuery): boolean =>
  (severity === undefined || found.severity === severity) &&
  (fixable === undefined || isFixable(found) === (fixable === 'true'));

/**
 * What the image itself has of a page that is no longer there: pages are kept as long as reports are, an image longer
 * if others come.
 */
const kept = (result: ScanOutcome, page: number): Finding[] =>
  result
    .evidence()
    .findings.slice(page * pageFindings, (page + 1) * pageFindings)
    .map((each) => ({ ...each, cvss: [] }));

const pageCount = (result: ScanOutcome | undefined): number =>
  result === undefined ? 0 : result.pages || Math.ceil(result.evidence().findings.length / pageFindings);

const written = (results: ScannedImage['results'], { result, page, index }: Position): string => {
  const { scannerName, scanId } = results[result] ?? { scannerName: '', scanId: '' };
  return [scannerName, scanId, page, index].join('#');
};

function begin(results: ScannedImage['results'], cursor: string | undefined): Position | undefined {
  if (cursor === undefined) return first(results, 0);
  const [scannerName, scanId, ...place] = cursor.split('#');
  const [page, index] = place;
  // Who has made it up could have everything looked through that is before the first.
  if (place.length !== 2 || !place.every((each) => /^\d{1,6}$/.test(each))) {
    throw new Problem('INVALID_CURSOR');
  }
  const result = results.findIndex((each) => each.scannerName === scannerName && each.scanId === scanId);
  if (result === -1) {
    throw new Problem(
      'INVALID_CURSOR',
      'The image has been scanned again, or another scanner is asked for: begin anew.',
    );
  }
  return { result, page: Number(page), index: Number(index) };
}

/** Of the results from this one on, the first that has findings. */
function first(results: ScannedImage['results'], from: number): Position | undefined {
  const result = results.findIndex((each, at) => at >= from && pageCount(each) > 0);
  return result === -1 ? undefined : { result, page: 0, index: 0 };
}

const following = (results: ScannedImage['results'], { result, page }: Position): Position | undefined =>
  page + 1 < (results[result]?.pages ?? 0)
    ? { result, page: page + 1, index: 0 }
    : first(results, result + 1);
