import { Duration } from 'aws-cdk-lib';
import { TokenAuthorizer } from 'aws-cdk-lib/aws-apigateway';
import { Construct } from 'constructs';
import type { Environment } from '../functions/authorizer/env.ts';
import type { IdentityProvider } from './identity-provider.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';

/** The one authorizer: verifies every kind of credential (design.md 3). */
export class Authorizer extends Construct {
  readonly function: RoleFunction<Environment>;
  readonly authorizer: TokenAuthorizer;

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
        ),
        ...identity.environment,
      }),
    });
    this.authorizer = new TokenAuthorizer(this, 'Token', {
      handler: this.function.function,
      // What is revoked stops within this time; the answer allows the whole stage, so it serves the next route too.
      resultsCacheTtl: Duration.seconds(5),
      // What cannot be a bearer token costs no invocation.
      validationRegex: '^[Bb]earer [A-Za-z0-9._~+/=-]+$',
    });
  }
}
