import { Logger } from '@aws-lambda-powertools/logger';
import { AdmissionPolicyRepository } from '../../core/admission/admission-policy-repository.ts';
import { type BundleSigner, kmsBundleSigner } from '../../core/admission/bundle-signer.ts';
import { AdmissionLookupRepository } from '../../core/image/admission-lookup-repository.ts';
import { ImageChangeRepository } from '../../core/image/image-change-repository.ts';
import { ImageRepository } from '../../core/image/image-repository.ts';
import { ImageRulesRepository } from '../../core/image/image-rules-repository.ts';
import { tenantAccess, tenantTables } from '../../core/tenant/tenant-access.ts';
import { BundleStateRepository } from './bundle-state-repository.ts';
import type { Environment } from './env.ts';

/** Every effect that this function has outside itself. */
export type Dependencies = {
  readonly lookups: Pick<AdmissionLookupRepository, 'find'>;
  readonly rules: Pick<ImageRulesRepository, 'ready'>;
  readonly policies: Pick<AdmissionPolicyRepository, 'ready' | 'read' | 'write'>;
  readonly states: Pick<BundleStateRepository, 'read'>;
  readonly changes: Pick<ImageChangeRepository, 'newest' | 'since'>;
  readonly images: Pick<ImageRepository, 'list' | 'findMany'>;
  readonly bundleSigner: BundleSigner;
  /** Base URL of the API: who signs. */
  readonly apiUrl: string;
  readonly logger: Pick<Logger, 'info'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

export function dependencies(env: Environment): Dependencies {
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'admission',
    clients: tenantTables,
  });
  return {
    lookups: new AdmissionLookupRepository(access, env.TENANT_TABLE),
    rules: new ImageRulesRepository(access, env.TENANT_TABLE),
    policies: new AdmissionPolicyRepository(access, env.TENANT_TABLE),
    states: new BundleStateRepository(access, env.TENANT_TABLE),
    changes: new ImageChangeRepository(access, env.TENANT_TABLE),
    images: new ImageRepository(access, env.TENANT_TABLE),
    bundleSigner: kmsBundleSigner(env.BUNDLE_KEY_ID),
    apiUrl: env.API_URL,
    logger: new Logger({ serviceName: 'admission' }),
    now: Date.now,
  };
}
