import { Construct } from 'constructs';
import type { Environment } from '../functions/registration/env.ts';
import type { Keys } from './keys.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import { TenantRole } from './tenant-role.ts';

type Options = {
  readonly bundles: string;
  readonly tables: Tables;
  readonly keys: Keys;
  readonly trustDomain: string;
  readonly tunnelAddress: string;
};

/** Registration tokens, registrations and clusters. */
export class Registration extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(scope: Construct, id: string, { bundles, tables, keys, ...told }: Options) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'registration',
      bundles,
      description: 'Cattery: registration tokens, registrations, clusters',
      memorySize: 1024,
      // Who follows a cluster's progress waits 20 s in it.
      timeout: 25,
      environment: (role) => {
        const tenant = new TenantRole(this, 'Tenant', role);
        return {
          ...tenant.environment,
          ...tenant.allowItems(
            tables.tenant,
            // A disconnected cluster leaves a tombstone, so nothing deletes one.
            { actions: ['GetItem', 'Query', 'PutItem', 'UpdateItem'], collections: ['CLUSTERS'] },
            { actions: ['GetItem', 'UpdateItem', 'DeleteItem'], collections: ['CLUSTER_NAMES'] },
            { actions: ['GetItem', 'PutItem', 'DeleteItem'], collections: ['REGISTRATIONS'] },
            {
              actions: ['GetItem', 'Query', 'PutItem', 'UpdateItem', 'DeleteItem'],
              collections: ['REGISTRATION_TOKENS'],
            },
            { actions: ['GetItem', 'Query', 'PutItem', 'DeleteItem'], collections: ['API_KEYS'] },
            { actions: ['GetItem', 'Query', 'PutItem', 'DeleteItem'], collections: ['ACCESS_RULES'] },
            { actions: ['GetItem', 'Query', 'PutItem', 'DeleteItem'], collections: ['PROGRESS'] },
          ),
          ...tables.identities.grant(role, {
            actions: ['GetItem', 'BatchGetItem', 'PutItem', 'UpdateItem', 'DeleteItem'],
            partitions: ['CREDENTIAL#*'],
          }),
          ...tables.directory.grant(
            role,
            { actions: ['PutItem', 'UpdateItem'], partitions: ['CERT#*'] },
            { actions: ['PutItem'], partitions: ['REVOCATIONS'] },
            { actions: ['GetItem', 'BatchGetItem'], partitions: ['CLUSTER#*', 'TASK#*'] },
            { actions: ['GetItem'], partitions: ['TRUST'] },
          ),
          ...keys.grantSign(role),
          ...keys.grantDerive(role),
          TRUST_DOMAIN: told.trustDomain,
          TUNNEL_ADDRESS: told.tunnelAddress,
        };
      },
    });
  }
}
