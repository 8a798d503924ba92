import { type BundleSigner, kmsBundleSigner } from '../../core/admission/bundle-signer.ts';
import { TrustRepository } from '../../core/certificate/trust-repository.ts';
import { ClusterRepository } from '../../core/cluster/cluster-repository.ts';
import { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';
import { type Catalogue, catalogue } from '../../core/release/catalogue.ts';
import { type ManifestRepository, manifestRepository } from '../../core/release/manifest-repository.ts';
import { documentClient, tenantAccess, tenantTables } from '../../core/tenant/tenant-access.ts';
import type { Environment } from './env.ts';
import { readScript } from './installer.ts';
import { readScanReporter } from './scan-reporter.ts';

/** Every effect that this function has outside itself, and where the deployment's hosts are. */
export type Dependencies = {
  readonly trust: Pick<TrustRepository, 'read'>;
  readonly clusters: Pick<ClusterRepository, 'find'>;
  readonly tunnels: Pick<TunnelDirectoryRepository, 'locateAll'>;
  readonly addresses: Pick<Environment, 'API_URL' | 'ACCESS_URL' | 'TUNNEL_ADDRESS' | 'ACCESS_TRUST'>;
  /** The releases on offer; read when they are first asked for. */
  readonly catalogue: () => Catalogue;
  /** Our copies of upstream's manifests. */
  readonly mirror: Pick<ManifestRepository, 'read' | 'mirrored'>;
  /** install.sh with its placeholders. */
  readonly script: () => Promise<string>;
  /** scan-report.sh with its placeholder. */
  readonly scanReporter: () => Promise<string>;
  /** Tells the key that signs bundles of verdicts. */
  readonly bundleSigner: Pick<BundleSigner, 'key'>;
  /** Who signs users in. */
  readonly identity: Pick<Environment, 'OIDC_ISSUER' | 'OIDC_AUDIENCE'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

export function dependencies(env: Environment): Dependencies {
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'install-assets',
    clients: tenantTables,
  });
  const dynamo = documentClient();
  return {
    trust: new TrustRepository(dynamo, env.DIRECTORY_TABLE),
    clusters: new ClusterRepository(access, env.TENANT_TABLE),
    tunnels: new TunnelDirectoryRepository(dynamo, env.DIRECTORY_TABLE),
    catalogue,
    mirror: manifestRepository(env.ASSETS_BUCKET),
    script: readScript,
    scanReporter: readScanReporter,
    bundleSigner: kmsBundleSigner(env.BUNDLE_KEY_ID),
    addresses: env,
    identity: env,
    now: Date.now,
  };
}
