import { Duration, Validations } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { Trigger } from 'aws-cdk-lib/triggers';
import { Construct, type IConstruct } from 'constructs';
import type { Environment } from '../functions/certificates/env.ts';
import type { Keys, Secrets } from './keys.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import { finishTrigger } from './trigger.ts';

type Options = {
  readonly bundles: string;
  readonly tables: Tables;
  readonly keys: Keys;
  readonly secrets: Secrets;
  readonly trustDomain: string;
  readonly accessUrl: string;
};

/** Our own certificates: made at deploy time, then looked after twice a day (design.md 8). */
export class Certificates extends Construct {
  readonly function: RoleFunction<Environment>;
  readonly #made: Trigger;

  constructor(scope: Construct, id: string, { bundles, tables, keys, secrets, ...told }: Options) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'certificates',
      bundles,
      description: 'Cattery: makes and rotates roots, name hint and server certificates',
      memorySize: 512,
      timeout: 60,
      environment: (role) => ({
        ...tables.directory.grant(role, { actions: ['GetItem', 'PutItem'], partitions: ['TRUST'] }),
        ...secrets.grantMake(role),
        ...keys.grantSign(role),
        ACCESS_URL: told.accessUrl,
        TRUST_DOMAIN: told.trustDomain,
      }),
    });
    new Rule(this, 'Schedule', {
      description: 'Cattery: renews what is due among our own certificates',
      schedule: Schedule.rate(Duration.hours(12)),
      targets: [new LambdaFunction(this.function.function, { retryAttempts: 2 })],
    });
    Validations.of(this.function.function).acknowledge({
      id: '@aws-cdk/aws-lambda:addPermissionsToVersionOrAlias',
      reason: 'The schedule invokes the function itself; the trigger has a right of its own on the version.',
    });
    // Runs again whenever the function's code or environment changes, and fails the deployment when it fails.
    this.#made = new Trigger(this, 'Made', { handler: this.function.function, timeout: Duration.minutes(1) });
    finishTrigger(this, this.#made);
  }

  /** Nothing of this starts before the certificates exist. */
  before(...later: IConstruct[]): void {
    for (const one of later) one.node.addDependency(this.#made);
  }
}
