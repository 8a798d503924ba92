import { Construct } from 'constructs';
import { releasesPrefix } from '../core/release/manifest-key.ts';
import type { Environment } from '../functions/install-assets/env.ts';
import type { Buckets } from './buckets.ts';
import type { IdentityProvider } from './identity-provider.ts';
import type { Keys } from './keys.ts';
import type { Addresses } from './network.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import { TenantRole } from './tenant-role.ts';

type Options = {
  readonly bundles: string;
  readonly tables: Tables;
  readonly buckets: Pick<Buckets, 'assets'>;
  readonly keys: Keys;
  readonly addresses: Addresses;
  readonly apiUrl: string;
  readonly identity: Pick<IdentityProvider, 'environment'>;
};

/** What a cluster and its users need to get going: releases, manifests, kubeconfigs; and every path that is none. */
export class InstallAssets extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(scope: Construct, id: string, options: Options) {
    super(scope, id);
    const { bundles, tables, buckets, keys, addresses, apiUrl, identity } = options;
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'install-assets',
      bundles,
      description: 'Cattery: releases, connect manifests, kubeconfigs; answers what no route matches',
      // More than half a CPU: three megabytes of a manifest are fetched and encoded while its client waits.
      memorySize: 1024,
      // S3's three attempts of 5 s, and the rest of such an answer.
      timeout: 25,
      environment: (role) => {
        const tenant = new TenantRole(this, 'Tenant', role);
        return {
          ...tenant.environment,
          ...tenant.allowItems(tables.tenant, { actions: ['GetItem'], collections: ['CLUSTERS'] }),
          ...tables.directory.grant(
            role,
            { actions: ['GetItem'], partitions: ['TRUST'] },
            { actions: ['BatchGetItem'], partitions: ['CLUSTER#*', 'TASK#*'] },
          ),
          ...buckets.assets.grant(role, { actions: ['GetObject'], prefix: releasesPrefix }),
          ...buckets.assets.grantList(role),
          ...keys.grantShowBundleKey(role),
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
