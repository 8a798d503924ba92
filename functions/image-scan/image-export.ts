import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { ExportRow, FoundFinding, ImageExportQuery } from '../../core/image/image-search-schema.ts';
import type { Verdict } from '../../core/image/image-schema.ts';
import { judgeImage } from '../../core/image/judge.ts';
import type { ScannedImage } from '../../core/image/scanned-image.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { csvHeader, csvRecord } from './export-csv.ts';
import { vexDocument, vexEntries, type StatedFinding } from './export-vex.ts';
import { candidates, listOf, maxLookedAt, searchMs } from './image-search.ts';
import type { Judging } from './image-view.ts';
import {
  asksForFindings,
  findingReader,
  matchingFindings,
  portion,
  portionsOf,
} from './matching-findings.ts';

export type ExportPage = {
  readonly type: string;
  readonly text: string;
  /** Where the next page is, relative to this one. */
  readonly next?: string;
};

type Stores = Pick<Dependencies, 'images' | 'cards' | 'pages' | 'rules' | 'now' | 'random'>;

/** A page ends after so many bytes: Lambda answers 6 MB at most, in which every quote is two. */
const maxPageBytes = 2.5 * 1024 * 1024;
/** Images that are read at once: as many as a page has if they have some 150 findings. */
const batch = 50;

/** What is next within an image that is too large for one page. */
type Place = { readonly result: number; readonly portion: number; readonly index: number };
const beginning: Place = { result: 0, portion: 0, index: 0 };

/** One request as its parts see it. */
type Asked = {
  readonly deps: Stores;
  readonly tenantId: string;
  readonly query: ImageExportQuery;
  readonly judging: Judging;
  /** Whether the time that a request may take is over. */
  readonly isLate: () => boolean;
};

/**
 * A page of images with their findings (those that are asked for, if any are), whole images unless one alone is too large for a
 * page. `cyclonedx-vex` is a document about one image. INVALID_CURSOR also for one into an image that was scanned again
 * since. Units: as for lists; findings come out of the images themselves, and only of those with more than 10,000 out of
 * their stored pages, 3 each.
 */
export async function exportImages(
  deps: Stores,
  tenantId: string,
  query: ImageExportQuery,
): Promise<ExportPage> {
  const { rules, now } = deps;
  const list = listOf(`export ${query.format}`, query);
  const after = decodeCursor(tenantId, list, query.cursor);
  const began = now();
  const judging = { rules: await reached('The rules for images', rules.ready(tenantId)), now: began };
  const asked: Asked = { deps, tenantId, query, judging, isLate: () => now() - began >= searchMs };
  const made = query.format === 'cyclonedx-vex' ? await vexPage(asked, after) : await rowsPage(asked, after);
  const { next, ...page } = made;
  return {
    ...page,
    ...(next === undefined ? {} : { next: pageUrl(query, encodeCursor(tenantId, list, next)) }),
  };
}

/** Relative to …/v1/images/export: the base URL may hold a stage's path that this function does not know. */
function pageUrl(query: ImageExportQuery, cursor: string): string {
  const members = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, cursor })) {
    if (value !== undefined) members.set(name, String(value));
  }
  return `export?${members.toString()}`;
}

type Wanted = { readonly image: ScannedImage; readonly verdict: Verdict; readonly place: Place };
type Found = {
  readonly wanted?: Wanted;
  /** Up to where all has been looked at. */ readonly at: string;
  readonly isLast: boolean;
};

/** The images that are asked for, and how far it has come while there is none. */
async function* images(
  { deps, tenantId, query, judging }: Asked,
  cursor: string | undefined,
  first: number,
): AsyncGenerator<Found> {
  const read = async (image: ScannedImage, place: Place): Promise<Wanted | undefined> => {
    const isAsked =
      !asksForFindings(query) || (await matchingFindings(deps, tenantId, image, { filter: query, judging }));
    const { verdict } = judgeImage(image, judging.rules, judging.now, { shown: 0 });
    return isAsked && (query.verdict === undefined || query.verdict === verdict)
      ? { image, verdict, place }
      : undefined;
  };
  const [after, ...inside] = cursor?.split('#') ?? [];
  if (after !== undefined && inside.length > 0) {
    const image = await reached('The table of images', deps.images.find(tenantId, after));
    const wanted = image && image.expiresAt > judging.now && (await read(image, placeIn(image, inside)));
    if (wanted) yield { wanted, at: after, isLast: false };
  }
  for await (const { images: found, next } of candidates(deps, tenantId, query, {
    after,
    first,
    most: batch,
  })) {
    for (const [index, image] of found.entries()) {
      const wanted = await read(image, beginning);
      const isLast = next === undefined && index === found.length - 1;
      yield { ...(wanted ? { wanted } : {}), at: image.digest, isLast };
    }
    if (next !== undefined) yield { at: next, isLast: false };
  }
}

async function rowsPage(asked: Asked, cursor: string | undefined): Promise<ExportPage> {
  const { format, limit } = asked.query;
  const toText = format === 'csv' ? csvRecord : (row: ExportRow) => JSON.stringify(row);
  const rows: string[] = [];
  let [bytes, count, lookedAt] = [0, 0, 0];
  let done = cursor;
  let next: string | undefined;
  for await (const { wanted, at, isLast } of images(asked, cursor, Math.min(limit + 1, batch))) {
    lookedAt += 1;
    if (wanted) {
      const own = await rowsOf(asked, wanted, { toText, room: maxPageBytes - bytes });
      // An image that does not fit any more is the next page's, whole if it fits there.
      if (own.next !== undefined && count > 0) {
        next = done;
        break;
      }
      for (const row of own.rows) rows.push(row);
      bytes += own.bytes;
      count += 1;
      if (own.next !== undefined) {
        next = own.next;
        break;
      }
    }
    done = at;
    if (!isLast && (count >= limit || lookedAt >= maxLookedAt || asked.isLate())) {
      next = at;
      break;
    }
  }
  const more = next === undefined ? {} : { next };
  if (format === 'json') return { type: 'application/json', text: `[${rows.join(',\n')}]\n`, ...more };
  const header = cursor === undefined ? csvHeader : '';
  const type = `text/csv; charset=utf-8; header=${header === '' ? 'absent' : 'present'}`;
  return { type, text: `${header}${rows.join('')}`, ...more };
}

type Rows = { readonly rows: readonly string[]; readonly bytes: number; readonly next?: string };

/** The rows of one image from a place on, and where it goes on if there was no more room, or time. */
async function rowsOf(
  asked: Asked,
  { image, verdict, place }: Wanted,
  { toText, room }: { readonly toText: (row: ExportRow) => string; readonly room: number },
): Promise<Rows> {
  const about = {
    ...named(image),
    digest: image.digest,
    verdict,
    clusters: [...image.clusters.keys()].sort(),
  };
  const rows: string[] = [];
  let bytes = 0;
  const add = (row: ExportRow) => {
    const text = toText(row);
    rows.push(text);
    bytes += Buffer.byteLength(text) + 1;
  };
  for await (const { finding, scannedAt, after } of findingsOf(asked, image, place)) {
    if (finding) add({ ...about, scannedAt: time(scannedAt), finding });
    if (after !== undefined && (bytes >= room || (finding === undefined && asked.isLate()))) {
      return { rows, bytes, next: writtenPlace(image, after) };
    }
  }
  const hasNone = place === beginning && rows.length === 0;
  if (hasNone)
    add({ ...about, scannedAt: time(Math.max(...image.results.map(({ scannedAt }) => scannedAt))) });
  return { rows, bytes };
}

type Step = {
  /** Absent: a portion has ended. */
  readonly finding?: FoundFinding;
  readonly scannedAt: number;
  /** What is next; absent: nothing. */
  readonly after?: Place;
};

/** The findings of an image that are asked for, one scanner after the other, each one's worst first. */
async function* findingsOf(
  { deps, tenantId, query, judging }: Asked,
  image: ScannedImage,
  from: Place,
): AsyncGenerator<Step> {
  for (let at = from.result; at < image.results.length; at += 1) {
    const result = inNameOrder(image)[at];
    if (!result) return;
    const read = findingReader(image, result, query, judging);
    const { scannedAt } = result;
    const first = at === from.result ? from : beginning;
    const portions = portionsOf(result);
    for (let number = first.portion; number < portions; number += 1) {
      const findings = await portion(deps, tenantId, { digest: image.digest, result, at: number });
      const begin = number === first.portion ? first.index : 0;
      for (const [index, each] of findings.entries()) {
        if (index < begin) continue;
        const finding = read(each);
        if (finding) yield { finding, scannedAt, after: { result: at, portion: number, index: index + 1 } };
      }
      yield { scannedAt, after: { result: at, portion: number + 1, index: 0 } };
    }
  }
}

const inNameOrder = ({ results }: ScannedImage) =>
  [...results].sort((a, b) => (a.scannerName < b.scannerName ? -1 : 1));

const writtenPlace = (image: ScannedImage, { result, portion: number, index }: Place): string => {
  const { scannerName, scanId } = inNameOrder(image)[result] ?? { scannerName: '', scanId: '' };
  return [image.digest, scannerName, scanId, number, index].join('#');
};

function placeIn(
  image: ScannedImage,
  [scannerName, scanId, number = '', index = '']: readonly string[],
): Place {
  // Who has made it up could have everything looked through that is before the first.
  if (![number, index].every((each) => /^\d{1,7}$/.test(each))) throw new Problem('INVALID_CURSOR');
  const result = inNameOrder(image).findIndex(
    (each) => each.scannerName === scannerName && each.scanId === scanId,
  );
  if (result === -1) {
    throw new Problem('INVALID_CURSOR', `${image.digest} has been scanned again: begin anew.`);
  }
  return { result, portion: Number(number), index: Number(index) };
}

/** A document about the next image; the place in one that is too large is an entry's number. */
async function vexPage(asked: Asked, cursor: string | undefined): Promise<ExportPage> {
  let next: string | undefined;
  let document = vexDocument(undefined, [], about(asked));
  for await (const { wanted, at, isLast } of images(asked, cursor, 2)) {
    if (wanted) {
      const { image, verdict, place } = wanted;
      const entries = vexEntries(await statedFindings(asked, image));
      const shown = fitting(entries.slice(place.index));
      const subject = { ...named(image), digest: image.digest, verdict };
      document = vexDocument(subject, shown, about(asked));
      const index = place.index + shown.length;
      if (index < entries.length) next = writtenPlace(image, { ...beginning, index });
      else if (!isLast) next = at;
      break;
    }
    if (!isLast && asked.isLate()) {
      next = at;
      break;
    }
  }
  return {
    type: 'application/vnd.cyclonedx+json; version=1.6',
    text: `${JSON.stringify(document)}\n`,
    ...(next === undefined ? {} : { next }),
  };
}

async function statedFindings(asked: Asked, image: ScannedImage): Promise<StatedFinding[]> {
  const isAffected = asked.judging.rules.affected(image);
  const stated: StatedFinding[] = [];
  for await (const { finding } of findingsOf(asked, image, beginning)) {
    if (finding) stated.push({ finding, isAffected: isAffected(finding) });
  }
  return stated;
}

/** As many entries as fit into a page, but one at least. */
function fitting<Entry>(entries: readonly Entry[]): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex((entry) => {
    bytes += Buffer.byteLength(JSON.stringify(entry)) * 2;
    return bytes > maxPageBytes;
  });
  return end === -1 ? entries : entries.slice(0, Math.max(1, end));
}

/** Of the version and variant that RFC 9562 §5.4 has for chance. */
function about({ deps, judging }: Asked): { serialNumber: string; at: number } {
  const bytes = Buffer.from(deps.random(16));
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const uuid = bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return { serialNumber: `urn:uuid:${uuid}`, at: judging.now };
}

/** Under what reference it was scanned last. */
function named({ results }: ScannedImage): { image?: string } {
  const latest = [...results]
    .sort((a, b) => b.scannedAt - a.scannedAt)
    .find(({ image }) => image !== undefined);
  return latest?.image === undefined ? {} : { image: latest.image };
}

const time = (at: number): string => new Date(at).toISOString();
