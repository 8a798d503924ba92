import { randomBytes } from 'node:crypto';
import { ClusterRepository } from '../../../core/cluster/cluster-repository.ts';
import { FindingPageRepository } from '../../../core/image/finding-page-repository.ts';
import { ImageCardRepository } from '../../../core/image/image-card-repository.ts';
import { ImageChangeRepository } from '../../../core/image/image-change-repository.ts';
import { ImageHistoryRepository } from '../../../core/image/image-history-repository.ts';
import { ImageNameRepository } from '../../../core/image/image-name-repository.ts';
import { ImageRepository } from '../../../core/image/image-repository.ts';
import { ImageRulesRepository } from '../../../core/image/image-rules-repository.ts';
import { FollowerRepository } from '../../../core/tenant/follower-repository.ts';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';
import { ReportRepository } from '../../../functions/image-scan/report-repository.ts';
import { ScanUploadRepository } from '../../../functions/image-scan/scan-upload-repository.ts';
import { UploadedReportRepository } from '../../../functions/image-scan/uploaded-report-repository.ts';
import type { Engine } from '../../engine.ts';

/** The function over an engine, with every repository as it is deployed. Nobody waits; the clock is the machine's. */
export function engineDependencies({ access, tables, buckets }: Engine): Dependencies {
  return {
    images: new ImageRepository(access, tables.tenant),
    names: new ImageNameRepository(access, tables.tenant),
    cards: new ImageCardRepository(access, tables.tenant),
    pages: new FindingPageRepository(access, tables.tenant),
    history: new ImageHistoryRepository(access, tables.tenant),
    changes: new ImageChangeRepository(access, tables.tenant),
    clusters: new ClusterRepository(access, tables.tenant),
    retentionMs: 90 * 86_400_000,
    reports: new ReportRepository(access, buckets.scan),
    rules: new ImageRulesRepository(access, tables.tenant),
    uploads: new ScanUploadRepository(access, tables.tenant),
    uploaded: new UploadedReportRepository(access, buckets.scan),
    uploadFollowers: new FollowerRepository(access, tables.tenant, 'SCAN_UPLOADS'),
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    random: randomBytes,
    now: Date.now,
    wait: () => Promise.resolve(),
  };
}
