import { TrustRepository } from '../../core/certificate/trust-repository.ts';
import { ClusterRepository } from '../../core/cluster/cluster-repository.ts';
import { documentClient, tenantAccess, tenantTables } from '../../core/tenant/tenant-access.ts';
import type { Environment } from './env.ts';

/** Every effect that this function has outside itself, and where the deployment's hosts are. */
export type Dependencies = {
  readonly trust: Pick<TrustRepository, 'read'>;
  readonly clusters: Pick<ClusterRepository, 'find'>;
  readonly addresses: Pick<Environment, 'API_URL' | 'ACCESS_URL' | 'TUNNEL_ADDRESS' | 'ACCESS_TRUST'>;
  /** Who signs users in. */
  readonly identity: Pick<Environment, 'OIDC_ISSUER' | 'OIDC_AUDIENCE'>;
};

export function dependencies(env: Environment): Dependencies {
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'install-assets',
    clients: tenantTables,
  });
  return {
    trust: new TrustRepository(documentClient(), env.DIRECTORY_TABLE),
    clusters: new ClusterRepository(access, env.TENANT_TABLE),
    addresses: env,
    identity: env,
  };
}
