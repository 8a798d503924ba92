import { CfnResource, Duration, Validations } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { InvocationType, Trigger } from 'aws-cdk-lib/triggers';
import { Construct } from 'constructs';
import { releasesPrefix } from '../core/release/manifest-key.ts';
import type { Environment } from '../functions/release-mirror/env.ts';
import type { Buckets } from './buckets.ts';
import { reachesInternet } from './function-metadata.ts';
import { RoleFunction } from './role-function.ts';
import { finishTrigger } from './trigger.ts';

type Options = { readonly bundles: string; readonly buckets: Pick<Buckets, 'assets'> };

/** Keeps copies of upstream's manifests, so that a cluster can be connected while GitHub is away. */
export class ReleaseMirror extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(scope: Construct, id: string, { bundles, buckets }: Options) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'release-mirror',
      bundles,
      description: 'Cattery: copies upstream’s manifests into our storage, scheduled',
      // Three files of three megabytes at a time.
      memorySize: 512,
      // The worst: of three files in turn each takes its 20 s, and S3 its three attempts of 30 s.
      timeout: 420,
      environment: (role) => ({
        ...buckets.assets.grant(role, { actions: ['PutObject'], prefix: releasesPrefix }),
        ...buckets.assets.grantList(role, { prefix: releasesPrefix }),
      }),
    });
    const handler = this.function.function;
    const resource = handler.node.defaultChild;
    if (CfnResource.isCfnResource(resource)) resource.addMetadata(reachesInternet, true);
    new Rule(this, 'Schedule', {
      description: 'Cattery: fetches what is lacking of the releases’ manifests',
      schedule: Schedule.rate(Duration.days(1)),
      targets: [new LambdaFunction(handler, { retryAttempts: 2 })],
    });
    Validations.of(handler).acknowledge({
      id: '@aws-cdk/aws-lambda:addPermissionsToVersionOrAlias',
      reason: 'The schedule invokes the function itself; the trigger has a right of its own on the version.',
    });
    // Whenever its code changes, and the catalogue is part of it. As an event, which nobody waits for: a deployment goes
    // on while upstream is away, Lambda tries twice more by itself, the schedule every day, and the alarm rings.
    const fetched = new Trigger(this, 'Fetched', { handler, invocationType: InvocationType.EVENT });
    finishTrigger(this, fetched);
  }
}
