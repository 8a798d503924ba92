import { randomBytes } from 'node:crypto';
import { IdentityRepository } from '../../core/credential/identity-repository.ts';
import type { RandomBytes } from '../../core/tenant/identifier.ts';
import {
  documentClient,
  type TenantAccess,
  tenantAccess,
  tenantTables,
} from '../../core/tenant/tenant-access.ts';
import type { Environment } from './env.ts';
import { TenantNameRepository } from './tenant-name-repository.ts';
import { TenantRepository } from './tenant-repository.ts';

/** Everything outside the process that this function touches. */
export type Dependencies = {
  readonly names: TenantNameRepository;
  readonly tenants: TenantRepository;
  readonly identities: IdentityRepository;
  /** OIDC issuer of the users, exactly as in `iss`. */
  readonly issuer: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly random: RandomBytes;
};

/** The repositories, each with the rights it needs. */
export const stores = (
  dynamo: ReturnType<typeof documentClient>,
  access: TenantAccess,
  tables: { tenant: string; identities: string },
): Pick<Dependencies, 'names' | 'tenants' | 'identities'> => ({
  names: new TenantNameRepository(dynamo, tables.identities),
  tenants: new TenantRepository(access, tables.tenant),
  identities: new IdentityRepository(dynamo, tables.identities),
});

export const dependencies = (env: Environment): Dependencies => ({
  ...stores(
    documentClient(),
    tenantAccess({ roleArn: env.TENANT_ROLE_ARN, sessionName: 'operator', clients: tenantTables }),
    {
      tenant: env.TENANT_TABLE,
      identities: env.IDENTITIES_TABLE,
    },
  ),
  issuer: env.OIDC_ISSUER,
  now: Date.now,
  random: randomBytes,
});
