import { type Verdict, verdicts } from '../image/image-schema.ts';
import type { Judgement } from '../image/judge.ts';
import type { JudgedImage } from '../image/scanned-image.ts';

/** What of a finding is told to somebody whose image is refused. */
export type DecisiveFinding = {
  readonly vulnerability: string;
  readonly package: string;
  readonly version: string;
  readonly fix: { readonly versions: readonly string[] };
};

/** What is known of a scanned image: its verdict under the image policy of the moment. */
export type KnownImage = {
  /** `sha256:…`. */
  readonly digest: string;
  readonly verdict: Verdict;
  /** When it was last scanned, epoch milliseconds. */
  readonly scannedAt: number;
  /** The rules that decided, with the findings that met each, worst first; `total` may be more than are listed. */
  readonly reasons: readonly {
    readonly rule: string;
    readonly total: number;
    readonly findings: readonly DecisiveFinding[];
  }[];
};

/** A scanned image as its judgement has it. */
export const knownImage = (
  { digest, results }: JudgedImage,
  { verdict, reasons }: Pick<Judgement, 'verdict' | 'reasons'>,
): KnownImage => ({
  digest,
  verdict,
  reasons,
  scannedAt: results.reduce((latest, { scannedAt }) => Math.max(latest, scannedAt), 0),
});

/** Of several images of one name (an index's platforms, a tag that has moved) the one that is judged worst. */
export const harshest = (images: readonly KnownImage[]): KnownImage | undefined =>
  images.reduce<KnownImage | undefined>(
    (worst, each) =>
      worst === undefined || verdicts.indexOf(each.verdict) > verdicts.indexOf(worst.verdict) ? each : worst,
    undefined,
  );

/** When the one of them was scanned that has not been scanned for longest; undefined: none of them is known. */
export const oldestScan = (images: readonly KnownImage[]): number | undefined =>
  images.length === 0 ? undefined : Math.min(...images.map(({ scannedAt }) => scannedAt));
