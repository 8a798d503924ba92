import { Construct } from 'constructs';
import type { Environment } from '../functions/install-assets/env.ts';
import type { IdentityProvider } from './identity-provider.ts';
import type { Addresses } from './network.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import { TenantRole } from './tenant-role.ts';

type Options = {
  readonly bundles: string;
  readonly tables: Tables;
  readonly addresses: Addresses;
  readonly apiUrl: string;
  readonly identity: Pick<IdentityProvider, 'environment'>;
};

/** What a cluster and its users need to get going: releases, manifests, kubeconfigs; and every path that is none. */
export class InstallAssets extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(scope: Construct, id: string, { bundles, tables, addresses, apiUrl, identity }: Options) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'install-assets',
      bundles,
      description: 'Cattery: releases, connect manifests, kubeconfigs; answers what no route matches',
      memorySize: 1024,
      timeout: 15,
      environment: (role) => {
        const tenant = new TenantRole(this, 'Tenant', role);
        return {
          ...tenant.environment,
          ...tenant.allowItems(tables.tenant, { actions: ['GetItem'], collections: ['CLUSTERS'] }),
          ...tables.directory.grant(role, { actions: ['GetItem'], partitions: ['TRUST'] }),
          API_URL: apiUrl,
          ACCESS_URL: addresses.accessUrl,
          ACCESS_TRUST: addresses.accessTrust,
          TUNNEL_ADDRESS: addresses.tunnelAddress,
          ...identity.environment,
        };
      },
    });
  }
}
