import { Duration } from 'aws-cdk-lib';
import { IdentitySource, RequestAuthorizer } from 'aws-cdk-lib/aws-apigateway';
import { Construct } from 'constructs';
import type { Environment } from '../functions/authorizer/env.ts';
import type { IdentityProvider } from './identity-provider.ts';
import { notingKeyUse } from './key-use-right.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';

/** The one authorizer: verifies every kind of credential (design.md 3). */
export class Authorizer extends Construct {
  readonly function: RoleFunction<Environment>;
  readonly authorizer: RequestAuthorizer;

  constructor(
    scope: Construct,
    id: string,
    { bundles, tables, identity }: { bundles: string; tables: Tables; identity: IdentityProvider },
  ) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'authorizer',
      bundles,
      description: 'Cattery: verifies the credential of every request',
      memorySize: 1024,
      timeout: 10,
      environment: (role) => ({
        ...tables.identities.grant(
          role,
          { actions: ['GetItem'], partitions: ['CREDENTIAL#*', 'SUBJECT#*', 'INVITATION#*'] },
          // A first sign-in turns its invitation into a membership.
          { actions: ['PutItem'], partitions: ['SUBJECT#*'] },
          { actions: ['UpdateItem', 'DeleteItem'], partitions: ['INVITATION#*'] },
          notingKeyUse,
        ),
        ...identity.environment,
      }),
    });
    // Of the whole request, not of the token alone: refusals are slowed down by the address that they go to.
    this.authorizer = new RequestAuthorizer(this, 'Request', {
      handler: this.function.function,
      // The answer is kept by it; without one the gateway says 401 by itself.
      identitySources: [IdentitySource.header('Authorization')],
      // What is revoked stops within this time; the answer allows the whole stage, so it serves the next route too.
      resultsCacheTtl: Duration.seconds(5),
    });
  }
}
