import { Construct } from 'constructs';
import type { Environment } from '../functions/operator/env.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import type { IdentityProvider } from './identity-provider.ts';
import { TenantRole } from './tenant-role.ts';

/** A name of its own, so that `npm run tenant` finds it without being told. */
export const operatorFunctionName = 'cattery-operator';

/** Makes tenants, invites and removes their members. Nothing may invoke it but a principal whose own IAM policy allows `lambda:InvokeFunction` on it. */
export class Operator extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(
    scope: Construct,
    id: string,
    { bundles, tables, identity }: { bundles: string; tables: Tables; identity: IdentityProvider },
  ) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'operator',
      functionName: operatorFunctionName,
      bundles,
      description:
        'Cattery: makes tenants and owner keys, invites and removes members; invoked directly, authorised by IAM',
      memorySize: 512,
      timeout: 30,
      environment: (role) => {
        const tenant = new TenantRole(this, 'Tenant', role);
        return {
          ...tenant.environment,
          ...tenant.allowItems(tables.tenant, { actions: ['PutItem'], collections: ['TENANT'] }),
          ...tables.identities.grant(
            role,
            { actions: ['GetItem', 'PutItem'], partitions: ['TENANT_NAME#*'] },
            { actions: ['PutItem'], partitions: ['CREDENTIAL#*'] },
            { actions: ['UpdateItem', 'DeleteItem'], partitions: ['INVITATION#*', 'SUBJECT#*'] },
          ),
          OIDC_ISSUER: identity.environment.OIDC_ISSUER,
        };
      },
    });
  }
}
