import { type BundledImage, maxBundledFindings } from '../../core/admission/admission-bundle.ts';
import { knownImage } from '../../core/admission/known-image.ts';
import type { ImageRules } from '../../core/image/image-rules.ts';
import { judgeImage } from '../../core/image/judge.ts';
import { lazyEvidence, type ScannedImage } from '../../core/image/scanned-image.ts';

/** Longest text of a finding, and fixed versions of one, that go into a bundle: a message shows less. */
const [maxText, maxVersions] = [128, 3];

/** An image as bundles have it: judged now, and at each later moment at which time alone makes the verdict worse. */
export function bundledImage(scanned: ScannedImage, rules: ImageRules, now: number): BundledImage {
  const { digest, names, expiresAt } = scanned;
  const image = withoutKept(scanned);
  const judgedAt = (at: number) => judgeImage(image, rules, at, { shown: maxBundledFindings });
  const judged = judgedAt(now);
  return {
    digest,
    names: names.map(({ alias, platform, scannedAt }) => ({ alias, platform, scannedAt })),
    scannedAt: knownImage(image, judged).scannedAt,
    verdict: judged.verdict,
    reasons: told(judged),
    worsens: judged.worsens
      .filter(({ at }) => at < expiresAt)
      .map(({ at, verdict }) => ({ at, verdict, reasons: told(judgedAt(at)) })),
    expiresAt,
  };
}

/**
 * The same image, of which decoded evidence goes when the judge does: that of a thousand images, half a kilobyte a
 * finding, would not fit into the function's memory.
 */
const withoutKept = ({ results, ...image }: ScannedImage): ScannedImage => ({
  ...image,
  results: results.map((result) => ({ ...result, evidence: lazyEvidence(result.encoded) })),
});

const told = ({ reasons }: ReturnType<typeof judgeImage>): BundledImage['reasons'] =>
  reasons.map(({ rule, total, findings }) => ({
    rule,
    total,
    findings: findings
      .slice(0, maxBundledFindings)
      .map(({ vulnerability, package: name, version, fix: { versions } }) => ({
        vulnerability: cut(vulnerability),
        package: cut(name),
        version: cut(version),
        fix: { versions: versions.slice(0, maxVersions).map(cut) },
      })),
  }));

const cut = (text: string): string => (text.length <= maxText ? text : `${text.slice(0, maxText - 3)}...`);
