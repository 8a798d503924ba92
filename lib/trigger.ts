import { CfnResource, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Trigger } from 'aws-cdk-lib/triggers';
import type { Construct } from 'constructs';
import { logRetention } from './role-function.ts';

/** What the CDK leaves open at the one trigger of a stack. */
export function finishTrigger(scope: Construct, trigger: Trigger): void {
  retainTrigger(trigger);
  finishTriggerProvider(scope);
}

/** Removing it must never look like taking back what it made: there is nothing to undo. */
function retainTrigger(trigger: Trigger): void {
  const resource = trigger.node.findAll().find(CfnResource.isCfnResource);
  resource?.applyRemovalPolicy(RemovalPolicy.RETAIN);
}

/** The CDK's own function behind a Trigger comes with an older runtime, on x86, and logs that never end. */
function finishTriggerProvider(scope: Construct): void {
  const provider = Stack.of(scope).node.findChild(
    'AWSCDK.TriggerCustomResourceProviderCustomResourceProvider',
  );
  const logs = new LogGroup(scope, 'MadeLogs', {
    retention: logRetention,
    removalPolicy: RemovalPolicy.RETAIN,
  });
  const handler = provider.node.findChild('Handler');
  if (!CfnResource.isCfnResource(handler)) throw new Error('the trigger has another handler than it used to');
  handler.addPropertyOverride('Runtime', 'nodejs24.x');
  handler.addPropertyOverride('Architectures', ['arm64']);
  handler.addPropertyOverride('LoggingConfig', { LogGroup: logs.logGroupName });
}
