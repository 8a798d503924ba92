import { decodeEvidence, type Evidence } from './evidence.ts';
import type { ImageAliases, SeverityCounts, Verdict } from './image-schema.ts';

/** The latest result of one scanner about an image, as it is stored; times are epoch milliseconds. */
export type StoredOutcome = {
  readonly scanId: string;
  /** Lower case; each scanner has a result of its own. */
  readonly scannerName: string;
  /** Name and version. */
  readonly scanner: string;
  /** When the scan was made. */
  readonly scannedAt: number;
  /** When the scanner's database was made. */
  readonly databaseAt?: number;
  /** Reference under which it was scanned. */
  readonly image?: string;
  readonly aliases: ImageAliases;
  /** `urn:cdx:<serial>/<version>`: the bill of materials that the report was; statements may name the image by it. */
  readonly bom?: string;
  readonly counts: SeverityCounts;
  /** As `encodeEvidence` makes it. */
  readonly evidence: Uint8Array;
  /** Key of the report in the scan bucket. */
  readonly reportKey: string;
  /** How many pages of findings there are. */
  readonly pages: number;
  /** When it was reported last, within an hour: the repository notes it. Results that nobody reports any more go. */
  readonly reportedAt?: number;
  /**
   * The scan in whose place it came, and which of its scanner's results about the image that was, from 1: its pages are
   * deleted, again if need be, with every upload of this one.
   */
  readonly replaced?: { readonly scanId: string; readonly ordinal: number; readonly pages: number };
};

/** The same with its evidence at hand; it is decoded once, when it is first asked for. */
export type ScanOutcome = Omit<StoredOutcome, 'evidence'> & {
  readonly encoded: Uint8Array;
  readonly evidence: () => Evidence;
};

/** What judging needs of a result, and so what copies of it have at least. */
export type JudgedOutcome = Pick<
  ScanOutcome,
  'scannerName' | 'scannedAt' | 'image' | 'aliases' | 'bom' | 'evidence'
>;

/** Where an image is looked up: a reference (`aliasOf`), or another digest of it. */
export type ImageName = {
  readonly alias: string;
  /** `linux/amd64`; '' where no report says. */
  readonly platform: string;
  readonly scannedAt: number;
  /** As of a result. */
  readonly reportedAt?: number;
};

/** A change of verdict as an upload has seen it: by the scan, or before it by a change of rules, or by time. */
export type VerdictChange = {
  readonly at: number;
  /** Absent: the first result. */
  readonly from?: Verdict;
  readonly to: Verdict;
  readonly cause: 'scan' | 'policy' | 'time';
  readonly scanId: string;
  readonly scanner: string;
};

/** An image and the latest result of each scanner; at most 6 of them. Times are epoch milliseconds. */
export type ScannedImage = {
  /** `sha256:…`. */
  readonly digest: string;
  /** +1 with each result that is kept. */
  readonly revision: number;
  readonly results: readonly ScanOutcome[];
  readonly names: readonly ImageName[];
  /** Clusters in which it is said to run → when that was last said. */
  readonly clusters: ReadonlyMap<string, number>;
  /** The verdict as the latest upload saw it, and the changes that this has found. */
  readonly recorded?: {
    readonly verdict: Verdict;
    readonly at: number;
    readonly changes: readonly VerdictChange[];
  };
  readonly firstSeenAt: number;
  /** From then on it is not known any more. */
  readonly expiresAt: number;
};

/** The latest result of a scanner. */
export const resultOf = (image: ScannedImage | undefined, scannerName: string): ScanOutcome | undefined =>
  image?.results.find((each) => each.scannerName === scannerName);

/** Which of its scanner's results about the image it is, from 1; what replaced none is the first. 0: there is none. */
export const ordinalOf = (result: Pick<ScanOutcome, 'replaced'> | undefined): number =>
  result === undefined ? 0 : (result.replaced?.ordinal ?? 0) + 1;

/** What judging needs of an image. */
export type JudgedImage = Pick<ScannedImage, 'digest'> & {
  readonly results: readonly JudgedOutcome[];
  /** What any report has called it, the latest results or not. */
  readonly names?: readonly Pick<ImageName, 'alias'>[];
};

/** Decoded once at most. */
export const lazyEvidence = (encoded: Uint8Array): (() => Evidence) => {
  let decoded: Evidence | undefined;
  return () => (decoded ??= decodeEvidence(encoded));
};

export function outcomeOf({ evidence, ...stored }: StoredOutcome): ScanOutcome {
  return { ...stored, encoded: evidence, evidence: lazyEvidence(evidence) };
}
