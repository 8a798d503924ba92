import { createHash } from 'node:crypto';
import type { ImageRules } from '../../core/image/image-rules.ts';
import type { ScanResult, ScanResults } from '../../core/image/image-schema.ts';
import { judgeImage } from '../../core/image/judge.ts';
import type { StatementsTaken } from '../../core/image/statements-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { shownInLists, shownJudgement } from './image-view.ts';
import { keepScan, type Kept } from './keep-scan.ts';
import { readReport } from './report/detect.ts';
import type { ReportLimits } from './report/report-limits.ts';
import { addressed } from './reported-images.ts';
import { type About, outcomeIn } from './scan-outcome.ts';
import { takeStatements } from './take-statements.ts';

export type Upload = {
  readonly tenantId: string;
  /** As it came, decompressed. */
  readonly report: Uint8Array;
  /** Reference and digest of the image, as the request has them. */
  readonly image: string | undefined;
  readonly digest: string | undefined;
  /** Where the images run. */
  readonly cluster: string | undefined;
  /** What the caller may send: reports (scans:write), VEX documents (image-policy:write). */
  readonly may: { readonly report: boolean; readonly state: boolean };
  /** Default: those of a request's body. */
  readonly limits?: ReportLimits;
};

/** Images of one report that are stored at a time. */
const atOnce = 8;

/**
 * Takes a scan report: checks it whole, stores it in S3, then the latest result of each of its images by itself, and
 * answers with what it alone makes of them. A failure leaves at most a report that no image points at, or some of
 * several images; the same upload again completes it. A scan's ID comes from the report's content, so the same report
 * is the same scan. A report that is older than the image's latest of the same scanner is kept and judged, but does not
 * replace it. A VEX document is taken by `takeStatements`. Units: 1 read, and what `keepScan` takes for each image; 1
 * read more with a cluster; one S3 PUT.
 */
export async function takeReport(
  deps: Dependencies,
  { tenantId, report: bytes, image, digest, cluster, may, limits }: Upload,
): Promise<ScanResult | ScanResults | StatementsTaken> {
  const report = readReport(bytes, limits);
  if (!('scans' in report)) {
    return takeStatements(deps, { tenantId, document: report, bytes, mayState: may.state });
  }
  if (!may.report) throw new Problem('ACCESS_DENIED', 'Reports of scans need scans:write.');
  const { addressed: targets, skipped, single } = addressed(report.scans, { image, digest });
  const [rules] = await Promise.all([
    reached('The rules for images', deps.rules.ready(tenantId)),
    assertCluster(deps, tenantId, cluster),
  ]);

  const hash = createHash('sha256').update(bytes).digest();
  const now = deps.now();
  const about: About = { report, sha256: hash, taken: now, single, image };
  const [only] = targets;
  const reportKey = await reached(
    'The store of reports',
    deps.reports.keep(tenantId, {
      about: single && only ? only.digest : 'several',
      sha256: hash.toString('hex'),
      report: bytes,
    }),
  );
  const items: ScanResult[] = [];
  for (let at = 0; at < targets.length; at += atOnce) {
    const some = targets.slice(at, at + atOnce).map(async (target) => {
      const outcome = outcomeIn(target, about);
      const kept = await keepScan(deps, tenantId, { outcome, reportKey, clusterId: cluster, rules, now });
      return shown(target.digest, kept, { rules, now, single });
    });
    items.push(...(await Promise.all(some)));
  }
  const [first] = items;
  return single && first ? first : { items, skipped };
}

/** NOT_FOUND for what is no cluster of the tenant's: absent, malformed and another tenant's are the same. */
async function assertCluster(
  { clusters }: Pick<Dependencies, 'clusters'>,
  tenantId: string,
  cluster: string | undefined,
): Promise<void> {
  if (cluster === undefined) return;
  const found = await reached('The table of clusters', clusters.find(tenantId, cluster));
  if (!found) throw new Problem('NOT_FOUND', 'There is no such cluster.');
}

function shown(
  digest: string,
  { result, isLatest }: Kept,
  { rules, now, single }: { rules: ImageRules; now: number; single: boolean },
): ScanResult {
  const judgement = judgeImage(
    { digest, results: [result] },
    rules,
    now,
    single ? {} : { shown: shownInLists },
  );
  const { scanId, counts } = result;
  return { scanId, digest, ...shownJudgement(judgement), counts, latest: isLatest };
}
