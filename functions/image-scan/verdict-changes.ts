import type { ImageRules } from '../../core/image/image-rules.ts';
import { judgeImage } from '../../core/image/judge.ts';
import type { ScannedImage, ScanOutcome, VerdictChange } from '../../core/image/scanned-image.ts';
import type { Verdict } from '../../core/image/image-schema.ts';

export type Recorded = NonNullable<ScannedImage['recorded']>;

type Seen = {
  readonly before: ScannedImage | undefined;
  readonly after: ScannedImage;
  readonly rules: ImageRules;
  /** The result that has come. */
  readonly scan: Pick<ScanOutcome, 'scanId' | 'scanner'>;
  /** Epoch milliseconds. */
  readonly now: number;
};

/**
 * What an image's history says once a result is kept: the verdict, and the changes since the last one that was
 * recorded. What the stored results come to under the rules of today before the new one is there differs from that
 * because of time (a grace has ended, …: with the moment), or because somebody has changed the rules (seen just now).
 * What then differs is the scan's doing. Times only grow, whatever the clocks of those who write: they are the keys of
 * the history.
 */
export function recordedAfter({ before, after, rules, scan, now }: Seen): Recorded {
  const to = judgeImage(after, rules, now).verdict;
  const last = before?.recorded;
  const changes: VerdictChange[] = [];
  let at = last?.at ?? 0;
  let from: Verdict | undefined = last?.verdict;
  const change = (when: number, verdict: Verdict, cause: VerdictChange['cause']) => {
    if (verdict === from) return;
    at = Math.max(when, at + 1);
    changes.push({
      at,
      ...(from === undefined ? {} : { from }),
      to: verdict,
      cause,
      scanId: scan.scanId,
      scanner: scan.scanner,
    });
    from = verdict;
  };

  if (before && last) {
    const then = judgeImage(before, rules, last.at);
    if (then.verdict === last.verdict) {
      for (const each of then.worsens) if (each.at <= now) change(each.at, each.verdict, 'time');
    }
    change(now - 1, judgeImage(before, rules, now).verdict, 'policy');
  }
  change(now, to, 'scan');
  return changes.length === 0 && last ? last : { verdict: to, at, changes };
}
