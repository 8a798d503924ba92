import { Logger } from '@aws-lambda-powertools/logger';
import { type CertificateSigner, kmsSigner } from '../../core/certificate/certificate-signer.ts';
import { TrustRepository } from '../../core/certificate/trust-repository.ts';
import { ClusterRepository } from '../../core/cluster/cluster-repository.ts';
import { IdentityRepository } from '../../core/credential/identity-repository.ts';
import { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';
import { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';
import { FollowerRepository } from '../../core/tenant/follower-repository.ts';
import type { RandomBytes } from '../../core/tenant/identifier.ts';
import {
  documentClient,
  type TenantAccess,
  tenantAccess,
  tenantTables,
} from '../../core/tenant/tenant-access.ts';
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { ApiKeyRepository } from './api-key-repository.ts';
import { ClusterNameRepository } from './cluster-name-repository.ts';
import { type ClusterTokens, kmsClusterTokens } from './cluster-token.ts';
import type { Environment } from './env.ts';
import { KeptAccessRuleRepository } from './kept-access-rule-repository.ts';
import { ProgressRepository } from './progress-repository.ts';
import { RegisteredClusterRepository } from './registered-cluster-repository.ts';
import { RegistrationRepository } from './registration-repository.ts';
import { RegistrationTokenRepository } from './registration-token-repository.ts';
import { RenewalRepository } from './renewal-repository.ts';
import { TokenClaimRepository } from './token-claim-repository.ts';

/** Everything outside the process that this function touches. */
export type Dependencies = {
  readonly trust: TrustRepository;
  readonly claims: TokenClaimRepository;
  readonly tokens: RegistrationTokenRepository;
  readonly apiKeys: ApiKeyRepository;
  readonly accessRules: KeptAccessRuleRepository;
  readonly names: ClusterNameRepository;
  readonly answers: RegistrationRepository;
  readonly clusters: ClusterRepository;
  readonly registered: RegisteredClusterRepository;
  readonly renewals: RenewalRepository;
  readonly identities: IdentityRepository;
  readonly certificates: CertificateDirectoryRepository;
  readonly tunnels: TunnelDirectoryRepository;
  readonly progress: ProgressRepository;
  readonly followers: FollowerRepository;
  readonly signer: CertificateSigner;
  readonly clusterTokens: ClusterTokens;
  readonly trustDomain: string;
  /** host:port that Guardian dials. */
  readonly tunnelAddress: string;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly random: RandomBytes;
  /** Lets this many milliseconds go by. */
  readonly wait: (ms: number) => Promise<unknown>;
};

type Stores = Pick<
  Dependencies,
  | 'trust'
  | 'claims'
  | 'tokens'
  | 'apiKeys'
  | 'accessRules'
  | 'names'
  | 'answers'
  | 'clusters'
  | 'registered'
  | 'renewals'
  | 'identities'
  | 'certificates'
  | 'tunnels'
  | 'progress'
  | 'followers'
>;

/** The repositories, each with the rights it needs: the tenant's own for tenant data, the function's for the rest. */
export function stores(
  dynamo: ReturnType<typeof documentClient>,
  access: TenantAccess,
  tables: { tenant: string; directory: string; identities: string },
): Stores {
  return {
    trust: new TrustRepository(dynamo, tables.directory),
    claims: new TokenClaimRepository(dynamo, tables.identities),
    tokens: new RegistrationTokenRepository(access, tables.tenant),
    apiKeys: new ApiKeyRepository(access, tables.tenant),
    accessRules: new KeptAccessRuleRepository(access, tables.tenant),
    names: new ClusterNameRepository(access, tables.tenant),
    answers: new RegistrationRepository(access, tables.tenant),
    clusters: new ClusterRepository(access, tables.tenant),
    registered: new RegisteredClusterRepository(access, tables.tenant),
    renewals: new RenewalRepository(access, tables.tenant),
    identities: new IdentityRepository(dynamo, tables.identities),
    certificates: new CertificateDirectoryRepository(dynamo, tables.directory),
    tunnels: new TunnelDirectoryRepository(dynamo, tables.directory),
    progress: new ProgressRepository(access, tables.tenant),
    followers: new FollowerRepository(access, tables.tenant, 'PROGRESS'),
  };
}

export function dependencies(env: Environment): Dependencies {
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'registration',
    clients: tenantTables,
  });
  const tables = {
    tenant: env.TENANT_TABLE,
    directory: env.DIRECTORY_TABLE,
    identities: env.IDENTITIES_TABLE,
  };
  return {
    ...stores(documentClient(), access, tables),
    signer: kmsSigner(env.CA_KEY_ID),
    clusterTokens: kmsClusterTokens(env.TOKEN_KEY_ID),
    trustDomain: env.TRUST_DOMAIN,
    tunnelAddress: env.TUNNEL_ADDRESS,
    logger: new Logger({ serviceName: 'registration' }),
    now: Date.now,
    random: randomBytes,
    wait: (ms) => setTimeout(ms),
  };
}
