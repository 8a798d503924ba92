import { isDeepStrictEqual } from 'node:util';
import { decodeEvidence, encodeEvidence } from './evidence.ts';
import { aliasesIn, platformOf } from './image-name.ts';
import {
  type ImageName,
  lazyEvidence,
  ordinalOf,
  outcomeOf,
  resultOf,
  type ScannedImage,
  type ScanOutcome,
  type StoredOutcome,
} from './scanned-image.ts';

/** Scanners whose results an image has at most. */
export const maxScanners = 6;
/** Names that an image has at most; the ones that it was last scanned under stay. */
export const maxNames = 32;
/** Clusters in which an image is known to run, at most; the ones that were last heard of stay. */
export const maxClusters = 500;
/** Longest reference that is kept of a report. */
const maxReference = 512;
/** What was last said within an hour is not written again for that alone. */
const preciseMs = 3_600_000;

/**
 * Bytes of an image's item (DynamoDB: 409,600). All but the evidence takes 110 KB at most: six results with 20 references
 * and 20 digests each, 32 names, 500 clusters; so a sixth of the rest, 45 KB, is each scanner's in any case.
 */
const maxItemBytes = 380 * 1024;

/** What an upload brings. Times are epoch milliseconds. */
export type NewResult = {
  readonly result: StoredOutcome;
  /** Where the image runs, as the upload says. */
  readonly clusterId?: string | undefined;
  /** When it came. */
  readonly at: number;
  /** How long the image is kept if nothing else comes. */
  readonly expiresAt: number;
};

export type Merged = {
  /** Of the revision before if nothing is to be written. */
  readonly image: ScannedImage;
  /** Whether the image now has this result; false: a newer one of the same scanner's is there. */
  readonly isLatest: boolean;
  /** Names that are the image's no more, of those that it had. */
  readonly dropped: readonly ImageName[];
};

/** `TOO_MANY`: results of as many scanners as there may be are there. */
export type TooMany = 'TOO_MANY';

/**
 * An image with one more upload. Of each scanner the newest result stays, of equally old ones the last; the same scan
 * again, known by its ID, changes nothing. Names and clusters are added also by a report that is older than what is there,
 * so that the order in which reports come does not matter. What no report has said for as long as an image is kept goes.
 */
export function merge(before: ScannedImage | undefined, digest: string, upload: NewResult): Merged | TooMany {
  const { at, expiresAt, clusterId } = upload;
  const result = trimmed(upload.result);
  const oldest = at - (expiresAt - at);
  const stored = resultOf(before, result.scannerName);
  const isSame = stored?.scanId === result.scanId;
  const isLatest = stored === undefined || isSame || stored.scannedAt <= result.scannedAt;

  const others = (before?.results ?? []).filter(
    (each) => each.scannerName !== result.scannerName && (each.reportedAt ?? at) > oldest,
  );
  if (others.length >= maxScanners) return 'TOO_MANY';
  const own = !isLatest
    ? stored
    : isSame
      ? { ...stored, reportedAt: later(stored.reportedAt, at) }
      : outcomeOf({ ...result, reportedAt: at, ...replacedBy(stored) });
  const results = sortedByScanner([...others, own]);
  const names = mergedNames(before, results, { digest, result, at, oldest });
  const clusters = mergedClusters(before?.clusters ?? new Map(), { clusterId, at, oldest });
  const image: ScannedImage = {
    digest,
    revision: before?.revision ?? at,
    results: fitted(results, bytesOf([names, [...clusters]])),
    names,
    clusters,
    ...(before?.recorded === undefined ? {} : { recorded: before.recorded }),
    firstSeenAt: before?.firstSeenAt ?? at,
    expiresAt: later(before?.expiresAt, wholeSeconds(expiresAt)),
  };
  const has = new Set(names.map(nameKey));
  const dropped = (before?.names ?? []).filter((name) => !has.has(nameKey(name)));
  return { image, isLatest, dropped };
}

/** Whether an image has anything that the stored one has not; revisions apart. */
export function isSameImage(a: ScannedImage, b: ScannedImage): boolean {
  return isDeepStrictEqual(comparable(a), comparable(b));
}

const comparable = ({ revision: _revision, results, ...image }: ScannedImage) => ({
  ...image,
  results: results.map(({ evidence: _evidence, ...result }) => result),
});

/** In bytes, as DynamoDB counts them or more. */
export const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

const later = (before: number | undefined, after: number): number =>
  before !== undefined && after < before + preciseMs ? before : after;

/** Items end at whole seconds. */
const wholeSeconds = (ms: number): number => Math.ceil(ms / 1000) * 1000;

const replacedBy = (stored: ScanOutcome | undefined): Pick<StoredOutcome, 'replaced'> =>
  stored ? { replaced: { scanId: stored.scanId, ordinal: ordinalOf(stored), pages: stored.pages } } : {};

/** Whoever writes a reference as long as this did not get it from a registry. */
const trimmed = (result: StoredOutcome): StoredOutcome => ({
  ...withoutLong(result),
  aliases: {
    ...result.aliases,
    references: result.aliases.references.filter(isShort),
  },
});

function withoutLong({ image, bom, ...result }: StoredOutcome): StoredOutcome {
  return {
    ...result,
    ...(image !== undefined && isShort(image) ? { image } : {}),
    ...(bom !== undefined && isShort(bom) ? { bom } : {}),
  };
}

const isShort = (text: string): boolean => Buffer.byteLength(text) <= maxReference;

const sortedByScanner = (results: readonly (ScanOutcome | undefined)[]): ScanOutcome[] =>
  results.filter((result) => result !== undefined).sort((a, b) => (a.scannerName < b.scannerName ? -1 : 1));

const nameKey = ({ alias, platform }: ImageName): string => `${alias}\n${platform}`;

/**
 * All names with the image's one platform, which does not change when no report says it any more; a report says when it
 * knew the image under those that it has. Names that no report has had for as long as an image is kept go: a tag may long
 * have moved to an image that is not known any more.
 */
function mergedNames(
  before: ScannedImage | undefined,
  results: readonly ScanOutcome[],
  { digest, result, at, oldest }: { digest: string; result: StoredOutcome; at: number; oldest: number },
): readonly ImageName[] {
  const platform = newestPlatform(results, result) ?? before?.names[0]?.platform ?? '';
  const scanned = new Map(
    (before?.names ?? [])
      .filter(({ reportedAt }) => (reportedAt ?? at) > oldest)
      .map((name) => [name.alias, name]),
  );
  // The same scan again: what it was stored with, as a report without a date of its own has that of its upload.
  const { scannedAt } = results.find(({ scanId }) => scanId === result.scanId) ?? result;
  for (const alias of aliasesIn(digest, result)) {
    const known = scanned.get(alias);
    scanned.set(alias, {
      alias,
      platform,
      scannedAt: Math.max(known?.scannedAt ?? 0, scannedAt),
      reportedAt: later(known?.reportedAt, at),
    });
  }
  return [...scanned.values()]
    .map((name) => ({ ...name, platform }))
    .sort((a, b) => b.scannedAt - a.scannedAt || (a.alias < b.alias ? -1 : 1))
    .slice(0, maxNames);
}

function newestPlatform(results: readonly ScanOutcome[], result: StoredOutcome): string | undefined {
  const said = [...results, result]
    .map(({ scannedAt, aliases }) => ({ scannedAt, platform: platformOf(aliases.platform) }))
    .filter(({ platform }) => platform !== '')
    .sort((a, b) => b.scannedAt - a.scannedAt || (a.platform < b.platform ? -1 : 1));
  return said[0]?.platform;
}

function mergedClusters(
  before: ReadonlyMap<string, number>,
  { clusterId, at, oldest }: { clusterId: string | undefined; at: number; oldest: number },
): ReadonlyMap<string, number> {
  const clusters = new Map([...before].filter(([, seen]) => seen > oldest));
  if (clusterId !== undefined && (clusters.get(clusterId) ?? 0) < at - preciseMs) clusters.set(clusterId, at);
  return new Map(
    [...clusters].sort(([a, seenA], [b, seenB]) => seenB - seenA || (a < b ? -1 : 1)).slice(0, maxClusters),
  );
}

/**
 * Results that fit into one item with what else it has. Where they do not, the largest evidence is folded further, which makes no
 * verdict better (core/image/evidence.ts), to the one size at which all fit.
 */
function fitted(results: readonly ScanOutcome[], othersBytes: number): readonly ScanOutcome[] {
  const plain = results.reduce((sum, { encoded: _encoded, ...result }) => sum + bytesOf(result), othersBytes);
  const room = maxItemBytes - plain;
  const sizes = results.map(({ encoded }) => encoded.length).sort((a, b) => a - b);
  let [left, limit] = [room, Infinity];
  for (const [index, size] of sizes.entries()) {
    const share = Math.floor(left / (sizes.length - index));
    if (size > share) {
      limit = share;
      break;
    }
    left -= size;
  }
  return results.map((result) => {
    if (result.encoded.length <= limit) return result;
    const encoded = encodeEvidence(decodeEvidence(result.encoded), limit);
    return { ...result, encoded, evidence: lazyEvidence(encoded) };
  });
}
