import { createHash } from 'node:crypto';
import type { ScanResult } from '../../core/image/image-schema.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import type { Dependencies } from './deps.ts';
import { countBySeverity, evidenceOf } from './evidence.ts';
import { imageDigest } from './image-digest.ts';
import { reached } from './reached.ts';
import { readTrivyReport } from './trivy-report.ts';
import { judge } from './verdict.ts';

type Upload = {
  readonly tenantId: string;
  readonly report: Uint8Array;
  readonly image: string | undefined;
  readonly digest: string | undefined;
};

/**
 * Takes a scan report: checks it, stores it in S3, then stores the image's latest result, then judges.
 * A failure leaves at most a report that no image points at; the same upload again completes it. The scan's ID comes
 * from the report's content, so the same report is the same scan. A report that is older than the image's latest is
 * kept and judged, but does not replace it. Units: 1 read, 1 write per KB of the image's item; one S3 PUT.
 */
export async function takeReport(
  { images, policies, reports, now }: Dependencies,
  { tenantId, report, image, digest: requested }: Upload,
): Promise<ScanResult> {
  const scan = readTrivyReport(report);
  const digest = imageDigest({
    requested,
    requestedImage: image,
    repoDigests: scan.repoDigests,
    reported: scan.reference,
  });
  const hash = createHash('sha256').update(report).digest();
  const scanId = `s-${base32(hash).slice(0, 26)}`;
  const counts = countBySeverity(scan.findings);
  const evidence = evidenceOf(scan.findings);
  const reference = image ?? scan.reference;
  const policy = await reached('The image policy', policies.read(tenantId));

  const reportKey = await reached(
    'The store of reports',
    reports.keep(tenantId, { digest, sha256: hash.toString('hex'), report }),
  );
  const taken = now();
  await reached(
    'The table of images',
    images.keepLatest(tenantId, {
      digest,
      scanId,
      // A clock that is ahead must not keep every later scan from replacing this one.
      scannedAt: Math.min(scan.createdAt ?? taken, taken),
      scanner: scan.scanner,
      ...(reference === undefined ? {} : { image: reference }),
      counts,
      evidence,
      reportKey,
    }),
  );
  return { scanId, digest, ...judge(evidence, policy), counts };
}
