import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Logger } from '@aws-lambda-powertools/logger';
import { ClusterRepository } from '../../core/cluster/cluster-repository.ts';
import { FindingPageRepository } from '../../core/image/finding-page-repository.ts';
import { ImageCardRepository } from '../../core/image/image-card-repository.ts';
import { ImageChangeRepository } from '../../core/image/image-change-repository.ts';
import { ImageHistoryRepository } from '../../core/image/image-history-repository.ts';
import { ImageNameRepository } from '../../core/image/image-name-repository.ts';
import { ImageRepository } from '../../core/image/image-repository.ts';
import { ImageRulesRepository } from '../../core/image/image-rules-repository.ts';
import { FollowerRepository } from '../../core/tenant/follower-repository.ts';
import type { RandomBytes } from '../../core/tenant/identifier.ts';
import { tenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantObjects } from '../../core/tenant/tenant-objects.ts';
import type { Environment } from './env.ts';
import { ReportRepository } from './report-repository.ts';
import { ScanUploadRepository } from './scan-upload-repository.ts';
import { UploadedReportRepository } from './uploaded-report-repository.ts';

/** Every effect that this function has outside itself. */
export type Dependencies = {
  readonly images: Pick<ImageRepository, 'keep' | 'find' | 'findMany' | 'list'>;
  readonly names: Pick<ImageNameRepository, 'keep'>;
  readonly cards: Pick<ImageCardRepository, 'keep' | 'matching'>;
  readonly pages: Pick<FindingPageRepository, 'write' | 'page' | 'delete'>;
  readonly history: Pick<ImageHistoryRepository, 'keep' | 'list'>;
  readonly changes: Pick<ImageChangeRepository, 'note'>;
  readonly clusters: Pick<ClusterRepository, 'find'>;
  /** How long an image is kept after its last report. */
  readonly retentionMs: number;
  readonly reports: Pick<ReportRepository, 'keep'>;
  readonly rules: Pick<ImageRulesRepository, 'ready' | 'find' | 'change'>;
  readonly uploads: Pick<ScanUploadRepository, 'create' | 'find' | 'claim' | 'release' | 'finish'>;
  readonly uploaded: Pick<UploadedReportRepository, 'presign' | 'read'>;
  readonly uploadFollowers: Pick<FollowerRepository, 'enter' | 'leave'>;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly random: RandomBytes;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Lets this many milliseconds go by. */
  readonly wait: (ms: number) => Promise<unknown>;
};

export function dependencies(env: Environment): Dependencies {
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'image-scan',
    clients: tenantObjects,
  });
  return {
    images: new ImageRepository(access, env.TENANT_TABLE),
    names: new ImageNameRepository(access, env.TENANT_TABLE),
    cards: new ImageCardRepository(access, env.TENANT_TABLE),
    pages: new FindingPageRepository(access, env.TENANT_TABLE),
    history: new ImageHistoryRepository(access, env.TENANT_TABLE),
    changes: new ImageChangeRepository(access, env.TENANT_TABLE),
    clusters: new ClusterRepository(access, env.TENANT_TABLE),
    retentionMs: Number(env.SCAN_RETENTION_DAYS) * 86_400_000,
    reports: new ReportRepository(access, env.SCAN_BUCKET),
    rules: new ImageRulesRepository(access, env.TENANT_TABLE),
    uploads: new ScanUploadRepository(access, env.TENANT_TABLE),
    uploaded: new UploadedReportRepository(access, env.SCAN_BUCKET),
    uploadFollowers: new FollowerRepository(access, env.TENANT_TABLE, 'SCAN_UPLOADS'),
    logger: new Logger({ serviceName: 'image-scan' }),
    random: randomBytes,
    now: Date.now,
    wait: (ms) => setTimeout(ms),
  };
}
