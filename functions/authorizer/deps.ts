import { Logger } from '@aws-lambda-powertools/logger';
import { bearerVerifier, type BearerVerifier } from '../../core/credential/bearer-verifier.ts';
import { IdentityRepository } from '../../core/credential/identity-repository.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import type { Environment } from './env.ts';

/** Everything outside the process that this function touches. */
export type Dependencies = {
  readonly verify: BearerVerifier;
  readonly logger: Pick<Logger, 'error'>;
};

export const dependencies = (env: Environment): Dependencies => ({
  verify: bearerVerifier({
    identities: new IdentityRepository(documentClient(), env.IDENTITIES_TABLE),
    issuer: env.OIDC_ISSUER,
    audience: env.OIDC_AUDIENCE,
    bindInvitations: true,
  }),
  logger: new Logger({ serviceName: 'authorizer' }),
});
