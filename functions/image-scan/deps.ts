import { tenantAccess } from '../../core/tenant/tenant-access.ts';
import { tenantObjects } from '../../core/tenant/tenant-objects.ts';
import type { Environment } from './env.ts';
import { ImagePolicyRepository } from './image-policy-repository.ts';
import { ImageRepository } from './image-repository.ts';
import { ReportRepository } from './report-repository.ts';

/** Every effect that this function has outside itself. */
export type Dependencies = {
  readonly images: Pick<ImageRepository, 'keepLatest' | 'find' | 'list'>;
  readonly policies: Pick<ImagePolicyRepository, 'read' | 'write'>;
  readonly reports: Pick<ReportRepository, 'keep'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

export function dependencies(env: Environment): Dependencies {
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'image-scan',
    clients: tenantObjects,
  });
  return {
    images: new ImageRepository(access, env.TENANT_TABLE),
    policies: new ImagePolicyRepository(access, env.TENANT_TABLE),
    reports: new ReportRepository(access, env.SCAN_BUCKET),
    now: Date.now,
  };
}
