import { createHash } from 'node:crypto';
import type { ImageAliases, ImagePolicy, ScanResult, ScanResults } from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import type { Dependencies } from './deps.ts';
import { countBySeverity, evidenceOf } from './evidence.ts';
import type { ImageRecord } from './image-repository.ts';
import { shownInLists, shownJudgement } from './images.ts';
import { reached } from './reached.ts';
import { readReport, takenFormats } from './report/detect.ts';
import type { Report, ReportedImage } from './report/normal-form.ts';
import { addressed, type Addressed } from './reported-images.ts';
import { shownFinding } from './shown-finding.ts';

type Upload = {
  readonly tenantId: string;
  readonly report: Uint8Array;
  readonly image: string | undefined;
  readonly digest: string | undefined;
};

/** Images of one report that are written at a time. */
const atOnce = 8;
/** Names of each kind that an image keeps. */
const maxAliases = 20;

/**
 * Takes a scan report: checks it whole, stores it in S3, then stores the latest result of each of its images by itself,
 * then judges. A failure leaves at most a report that no image points at, or some of several images; the same upload
 * again completes it. A scan's ID comes from the report's content, so the same report is the same scan. A report that
 * is older than the image's latest of the same scanner is kept and judged, but does not replace it. Units: 1 read; for each image 1 write
 * per KB of its item; one S3 PUT.
 */
export async function takeReport(
  { images, policies, reports, now }: Dependencies,
  { tenantId, report: bytes, image, digest: requested }: Upload,
): Promise<ScanResult | ScanResults> {
  const report = readReport(bytes);
  if (!('scans' in report)) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `Found a VEX document: statements about results, and no result of a scan. ${takenFormats}`,
    );
  }
  const { addressed: targets, skipped, single } = addressed(report.scans, { image, digest: requested });
  const sha256 = createHash('sha256').update(bytes).digest();
  const taken = now();
  const records = targets.map((target) =>
    recordOf(target, { report, taken, scanId: scanIdOf(sha256, single ? undefined : target.digest), image }),
  );

  const policy = await reached('The image policy', policies.read(tenantId));
  const [only] = targets;
  const reportKey = await reached(
    'The store of reports',
    reports.keep(tenantId, {
      ...(single && only ? { digest: only.digest } : {}),
      sha256: sha256.toString('hex'),
      report: bytes,
    }),
  );
  for (let at = 0; at < records.length; at += atOnce) {
    const some = records.slice(at, at + atOnce);
    await reached(
      'The table of images',
      Promise.all(some.map((record) => images.keepLatest(tenantId, { ...record, reportKey }))),
    );
  }
  const [first] = records;
  if (single && first) return resultOf(first, policy);
  return { items: records.map((record) => resultOf(record, policy, shownInLists)), skipped };
}

type NewRecord = Omit<ImageRecord, 'reportKey'>;

const resultOf = (
  { scanId, digest, counts, evidence }: NewRecord,
  policy: ImagePolicy,
  shown?: number,
): ScanResult => ({
  scanId,
  digest,
  ...shownJudgement(evidence, policy, shown),
  counts,
});

/** Of several images in one report each has a scan of its own. */
function scanIdOf(sha256: Buffer, digest: string | undefined): string {
  const hash = digest === undefined ? sha256 : createHash('sha256').update(sha256).update(digest).digest();
  return `s-${base32(hash).slice(0, 26)}`;
}

function recordOf(
  { scan, digest }: Addressed,
  about: {
    readonly report: Report;
    readonly taken: number;
    readonly scanId: string;
    readonly image: string | undefined;
  },
): NewRecord {
  const { name, version, databaseAt } = about.report.scanner;
  const findings = scan.findings.map(shownFinding);
  const image = about.image ?? scan.image.references[0];
  return {
    digest,
    scanId: about.scanId,
    // A clock that is ahead must not keep every later scan from replacing this one.
    scannedAt: Math.min(scan.createdAt ?? about.report.createdAt ?? about.taken, about.taken),
    scanner: version === undefined ? name : `${name} ${version}`,
    scannerName: scannerNameOf(name),
    ...(databaseAt === undefined ? {} : { databaseAt }),
    ...(image === undefined ? {} : { image }),
    aliases: aliasesOf(scan.image),
    counts: countBySeverity(findings),
    evidence: evidenceOf(findings),
  };
}

/** Part of a key: CycloneDX lets a tool be called anything. */
const scannerNameOf = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .slice(0, 64);

const aliasesOf = ({ references, digests, imageId, platform }: ReportedImage): ImageAliases => ({
  references: references.slice(0, maxAliases),
  digests: digests.slice(0, maxAliases),
  ...(imageId === undefined ? {} : { imageId }),
  ...(platform === undefined ? {} : { platform }),
});
