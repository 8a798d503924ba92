import type { ScanResults } from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { imageDigest } from './image-digest.ts';
import { digestIn } from './report/members.ts';
import type { ReportedScan } from './report/normal-form.ts';

/** What the request says of the image. */
export type Asked = { readonly image: string | undefined; readonly digest: string | undefined };

/** A scan, and the digest that its image is kept under. */
export type Addressed = { readonly scan: ReportedScan; readonly digest: string };

export type Addressing = {
  readonly addressed: readonly Addressed[];
  /** Images of a report of several that have no digest, so that nothing can be kept of them. */
  readonly skipped: ScanResults['skipped'];
  /** Whether the answer is one image's: the report is about one, or the request names one of its images. */
  readonly single: boolean;
};

/**
 * Under which digest each of a report's images is kept. The request names one image: of a report about several it
 * chooses that. REPORT_DIGEST_MISMATCH where the report has no such image; REPORT_DIGEST_MISSING where no image of it
 * has a digest, and the request names none.
 */
export function addressed(scans: readonly ReportedScan[], asked: Asked): Addressing {
  const [only, ...others] = scans;
  if (only && others.length === 0) {
    return { addressed: [{ scan: only, digest: digestOf(only, asked) }], skipped: [], single: true };
  }
  if (asked.image !== undefined || asked.digest !== undefined) {
    const chosen = scans.find((scan) => isAsked(scan, asked));
    if (!chosen) {
      throw new Problem(
        'REPORT_DIGEST_MISMATCH',
        `The report is about ${scans.length} images, and the one that the request names is not among them.`,
      );
    }
    return { addressed: [{ scan: chosen, digest: digestOf(chosen, asked) }], skipped: [], single: true };
  }
  const kept: Addressed[] = [];
  const skipped: ScanResults['skipped'] = [];
  for (const scan of scans) {
    const digest = ownDigest(scan);
    const [image] = scan.image.references;
    if (digest !== undefined) kept.push({ scan, digest });
    else {
      const findings = scan.findings.length;
      skipped.push({ ...(image === undefined ? {} : { image }), code: 'REPORT_DIGEST_MISSING', findings });
    }
  }
  if (kept.length === 0) {
    throw new Problem(
      'REPORT_DIGEST_MISSING',
      `The report is about ${scans.length} images, and names none of them by its digest.`,
    );
  }
  return { addressed: kept, skipped, single: false };
}

function digestOf({ image }: ReportedScan, { digest, image: reference }: Asked): string {
  const names = digest !== undefined || digestIn(reference) !== undefined;
  const [first] = image.references;
  if (image.isUnpublished && names) {
    return imageDigest({
      requested: digest,
      requestedImage: reference,
      repoDigests: [],
      reported: undefined,
    });
  }
  return imageDigest({
    requested: digest,
    requestedImage: reference,
    repoDigests: image.digests.map((each) => `@${each}`),
    reported: image.digest === undefined ? first : `@${image.digest}`,
  });
}

function ownDigest(scan: ReportedScan): string | undefined {
  try {
    return digestOf(scan, { image: undefined, digest: undefined });
  } catch (error) {
    if (error instanceof Problem && error.code === 'REPORT_DIGEST_MISSING') return undefined;
    throw error;
  }
}

function isAsked({ image: { references, digests } }: ReportedScan, { image, digest }: Asked): boolean {
  if (digest !== undefined) return digests.includes(digest);
  return (
    image !== undefined && (references.includes(image) || digests.some((each) => image.endsWith(`@${each}`)))
  );
}
