import { outcomeOf, type ScannedImage, type ScanOutcome, type StoredOutcome } from './scanned-image.ts';

/** Top-level attributes of an image's item that hold results: this and the scanner's name. */
const resultPrefix = 'result:';

type Attributes = Omit<ScannedImage, 'digest' | 'results' | 'clusters'> & {
  readonly sk: string;
  readonly clusters: Readonly<Record<string, number>>;
};

/** An image as its item has it, without the partition key. `expiresAt` in seconds: it is the table's TTL. */
export function itemOf({
  digest,
  results,
  clusters,
  expiresAt,
  ...image
}: ScannedImage): Record<string, unknown> {
  return {
    sk: digest,
    ...image,
    clusters: Object.fromEntries(clusters),
    expiresAt: Math.ceil(expiresAt / 1000),
    ...Object.fromEntries(results.map((result) => [`${resultPrefix}${result.scannerName}`, stored(result)])),
  };
}

export function imageOf(item: Readonly<Record<string, unknown>>): ScannedImage {
  const { sk, revision, names, clusters, recorded, firstSeenAt, expiresAt } = item as unknown as Attributes;
  return {
    digest: sk,
    revision,
    results: Object.keys(item)
      .filter((name) => name.startsWith(resultPrefix))
      .sort()
      .map((name) => outcomeOf(item[name] as StoredOutcome)),
    names,
    clusters: new Map(Object.entries(clusters)),
    ...(recorded === undefined ? {} : { recorded }),
    firstSeenAt,
    expiresAt: expiresAt * 1000,
  };
}

const stored = ({ encoded, evidence: _evidence, ...result }: ScanOutcome): StoredOutcome => ({
  ...result,
  evidence: encoded,
});
