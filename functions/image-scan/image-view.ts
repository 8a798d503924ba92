import type { ImageRules } from '../../core/image/image-rules.ts';
import type { ImageAliases, ImageView, ScanResult } from '../../core/image/image-schema.ts';
import { type Judgement, judgeImage } from '../../core/image/judge.ts';
import type { ScannedImage, ScanOutcome } from '../../core/image/scanned-image.ts';

/** Findings that each reason shows in lists; the image itself shows up to 50. */
export const shownInLists = 3;

export type Judging = {
  readonly rules: ImageRules;
  /** Epoch milliseconds. */
  readonly now: number;
  /** Findings of each reason and suppressed ones; default: as many as are kept. */
  readonly shown?: number;
};

/** An image as the API shows it: judged under these rules at this time, the scanner first that judges it worst. */
export function imageView(image: ScannedImage, { rules, now, shown }: Judging): ImageView | undefined {
  const judgement = judgeImage(image, rules, now, shown === undefined ? {} : { shown });
  const verdictOf = new Map(judgement.scanners.map((each) => [each.scannerName, each.verdict]));
  const order = [...verdictOf.keys()];
  const place = ({ scannerName }: ScanOutcome) => order.indexOf(scannerName);
  const results = [...image.results].sort((a, b) => place(a) - place(b));
  const [deciding] = results;
  if (!deciding) return undefined;
  return {
    digest: image.digest,
    ...(deciding.image === undefined ? {} : { image: deciding.image }),
    aliases: allAliases(results),
    ...shownJudgement(judgement),
    counts: deciding.counts,
    ...scanOf(deciding),
    firstSeenAt: time(image.firstSeenAt),
    names: image.names.map(({ alias, platform, scannedAt }) => ({
      name: alias,
      ...(platform === '' ? {} : { platform }),
      scannedAt: time(scannedAt),
    })),
    clusters: [...image.clusters].map(([clusterId, at]) => ({ clusterId, lastSeenAt: time(at) })),
    scans: results.map((each) => ({
      ...scanOf(each),
      verdict: verdictOf.get(each.scannerName) ?? 'pass',
      counts: each.counts,
    })),
  };
}

export const shownJudgement = ({
  verdict,
  reasons,
  suppressed,
  worsens,
}: Judgement): Pick<ScanResult, 'verdict' | 'reasons' | 'suppressed' | 'changesAt'> => ({
  verdict,
  reasons,
  changesAt: worsens.map((each) => ({ at: time(each.at), verdict: each.verdict })),
  suppressed,
});

const scanOf = ({ scanId, scanner, databaseAt, scannedAt, reportKey }: ScanOutcome) => ({
  scanId,
  scanner,
  ...(databaseAt === undefined ? {} : { databaseAt: time(databaseAt) }),
  scannedAt: time(scannedAt),
  reportSha256: /([0-9a-f]{64})\.json\.gz$/.exec(reportKey)?.[1] ?? '',
});

const time = (at: number): string => new Date(at).toISOString();

/** What any of the scanners has called the image. */
function allAliases(results: readonly ScanOutcome[]): ImageAliases {
  const all = results.map(({ aliases }) => aliases);
  const imageId = all.find((each) => each.imageId !== undefined)?.imageId;
  const platform = all.find((each) => each.platform !== undefined)?.platform;
  return {
    references: [...new Set(all.flatMap(({ references }) => references))],
    digests: [...new Set(all.flatMap(({ digests }) => digests))],
    ...(imageId === undefined ? {} : { imageId }),
    ...(platform === undefined ? {} : { platform }),
  };
}
