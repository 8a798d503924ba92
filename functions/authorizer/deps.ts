import { setTimeout as wait } from 'node:timers/promises';
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics } from '@aws-lambda-powertools/metrics';
import { bearerVerifier, type BearerVerifier } from '../../core/credential/bearer-verifier.ts';
import type { CredentialKind } from '../../core/credential/credential-kind.ts';
import { IdentityRepository } from '../../core/credential/identity-repository.ts';
import { KeyUse } from '../../core/credential/key-use.ts';
import { RefusalPace } from '../../core/credential/refusal-pace.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import type { Environment } from './env.ts';
import { metricNamespace, refusalCounter, serviceName } from './refusal-figures.ts';

/** Everything outside the process that this function touches. */
export type Dependencies = {
  readonly verify: BearerVerifier;
  readonly logger: Pick<Logger, 'error'>;
  readonly pace: Pick<RefusalPace, 'refused'>;
  /** Counts a refused credential. */
  readonly refused: (kind: CredentialKind) => void;
};

export function dependencies(env: Environment): Dependencies {
  const identities = new IdentityRepository(documentClient(), env.IDENTITIES_TABLE);
  const logger = new Logger({ serviceName });
  const keyUse = new KeyUse({
    identities,
    now: Date.now,
    failed: (error) => {
      // A right that is missing stays missing until somebody hears of it; an error line rings.
      const level = (error as Error).name === 'AccessDeniedException' ? 'error' : 'warn';
      logger[level]('the day of use of an API key was not noted', { error: error as Error });
    },
  });
  return {
    verify: bearerVerifier({
      identities,
      issuer: env.OIDC_ISSUER,
      audience: env.OIDC_AUDIENCE,
      bindInvitations: true,
      used: (record) => keyUse.note(record),
    }),
    logger,
    pace: new RefusalPace({ now: Date.now, wait: (ms) => wait(ms) }),
    refused: refusalCounter(new Metrics({ namespace: metricNamespace, serviceName })),
  };
}
