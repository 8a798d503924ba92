import type { PolicyDocument, PolicySource, RolePolicies } from '../aws/iam/policy-source.ts';
import type { BucketSpec, KeySpec, SecretSpec, TableSpec } from '../aws/specs.ts';
import { type Api, apiOf } from './api.ts';
import type { Assembly, Resource } from './assembly.ts';
import {
  type ContainerSpec,
  containerOf,
  type FunctionSpec,
  functionsOf,
  scheduledOf,
  triggeredOf,
} from './compute.ts';
import { type EventRule, eventRulesOf } from './event-rules.ts';
import { type Resolver, resolver } from './intrinsics.ts';
import { physicalNames } from './physical-names.ts';

/** What the templates say must run, as plain data. */
export type Deployment = {
  readonly tables: readonly TableSpec[];
  readonly buckets: readonly BucketSpec[];
  readonly keys: readonly KeySpec[];
  readonly secrets: readonly SecretSpec[];
  readonly policies: PolicySource;
  readonly functions: readonly FunctionSpec[];
  /** Names of the functions that a deployment invokes once (CDK triggers). */
  readonly triggered: readonly string[];
  /** Functions that EventBridge invokes, with their period. */
  readonly scheduled: readonly { functionName: string; everyMs: number }[];
  /** Rules of EventBridge that wait for events. */
  readonly eventRules: readonly EventRule[];
  readonly container: ContainerSpec;
  readonly api: Api;
  /** Resolved outputs by name. */
  readonly outputs: Readonly<Record<string, string>>;
};

export function readDeployment(assembly: Assembly): Deployment {
  const resolve = resolver(assembly, physicalNames);
  const ofType = (type: string) => assembly.resources.filter((resource) => resource.type === type);
  return {
    tables: ofType('AWS::DynamoDB::Table').map((table) => tableSpec(table, resolve)),
    buckets: ofType('AWS::S3::Bucket').map((bucket) => bucketSpec(bucket, resolve)),
    keys: ofType('AWS::KMS::Key').flatMap((key) => keySpec(key)),
    secrets: ofType('AWS::SecretsManager::Secret').map((secret) => ({
      name: physicalNames.ref(secret).split(':').at(-1) ?? '',
      arn: physicalNames.ref(secret),
      generated: secret.properties.GenerateSecretString !== undefined,
    })),
    policies: policySource(assembly, resolve),
    functions: functionsOf(assembly, resolve),
    triggered: triggeredOf(assembly),
    scheduled: scheduledOf(assembly),
    eventRules: eventRulesOf(assembly, resolve),
    container: containerOf(assembly, resolve),
    api: apiOf(assembly, resolve),
    outputs: Object.fromEntries(
      assembly.outputs
        .filter(({ exportName }) => exportName === undefined)
        .map(({ stack, name, value }) => [name, resolve.text(stack, value)]),
    ),
  };
}

type CfnKeySchema = readonly { AttributeName: string; KeyType: 'HASH' | 'RANGE' }[];

function tableSpec(table: Resource, { resolve }: Resolver): TableSpec {
  const { KeySchema, AttributeDefinitions, TimeToLiveSpecification, GlobalSecondaryIndexes } = resolve(
    table.stack,
    table.properties,
  ) as {
    KeySchema: CfnKeySchema;
    AttributeDefinitions: readonly { AttributeName: string; AttributeType: 'S' | 'N' | 'B' }[];
    TimeToLiveSpecification?: { AttributeName: string; Enabled: boolean };
    GlobalSecondaryIndexes?: unknown;
  };
  // None of our tables has an index; one that comes must be mapped here before it works on a laptop.
  if (GlobalSecondaryIndexes)
    throw new Error(`${table.logicalId}: the laptop stack maps no secondary indexes yet.`);
  return {
    name: physicalNames.ref(table),
    keySchema: KeySchema.map(({ AttributeName, KeyType }) => ({
      attributeName: AttributeName,
      keyType: KeyType,
    })),
    attributeDefinitions: AttributeDefinitions.map(({ AttributeName, AttributeType }) => ({
      attributeName: AttributeName,
      attributeType: AttributeType,
    })),
    ...(TimeToLiveSpecification?.Enabled ? { ttlAttribute: TimeToLiveSpecification.AttributeName } : {}),
  };
}

function bucketSpec(bucket: Resource, { resolve }: Resolver): BucketSpec {
  const { VersioningConfiguration, NotificationConfiguration } = resolve(bucket.stack, bucket.properties) as {
    VersioningConfiguration?: { Status: string };
    NotificationConfiguration?: { EventBridgeConfiguration?: { EventBridgeEnabled?: boolean } };
  };
  return {
    name: physicalNames.ref(bucket),
    versioned: VersioningConfiguration?.Status === 'Enabled',
    announces: NotificationConfiguration?.EventBridgeConfiguration?.EventBridgeEnabled === true,
  };
}

/** The keys that product code calls; keys that only encrypt storage have no counterpart on a laptop. */
function keySpec(key: Resource): KeySpec[] {
  const keySpecification = key.properties.KeySpec;
  const names = { keyId: physicalNames.ref(key), arn: physicalNames.attribute(key, 'Arn') };
  if (keySpecification === 'ECC_NIST_P256')
    return [{ ...names, keySpec: keySpecification, usage: 'SIGN_VERIFY' }];
  if (keySpecification === 'HMAC_256')
    return [{ ...names, keySpec: keySpecification, usage: 'GENERATE_VERIFY_MAC' }];
  return [];
}

/** Role and resource policies as the laptop's AWS endpoint evaluates them on every call. */
function policySource(assembly: Assembly, { resolve, text }: Resolver): PolicySource {
  const roles = new Map<string, RolePolicies & { inline: PolicyDocument[] }>();
  const byName = new Map<string, RolePolicies & { inline: PolicyDocument[] }>();
  const onResources = new Map<string, PolicyDocument>();
  const document = (stack: string, value: unknown) => resolve(stack, value) as PolicyDocument;

  for (const resource of assembly.resources) {
    const { stack, type, properties } = resource;
    if (type === 'AWS::IAM::Role') {
      const inline = (properties.Policies ?? []) as { PolicyDocument: unknown }[];
      const role = {
        trust: document(stack, properties.AssumeRolePolicyDocument),
        inline: inline.map(({ PolicyDocument: policy }) => document(stack, policy)),
        ...(typeof properties.MaxSessionDuration === 'number'
          ? { maxSessionDuration: properties.MaxSessionDuration }
          : {}),
      };
      roles.set(physicalNames.attribute(resource, 'Arn'), role);
      byName.set(physicalNames.ref(resource), role);
    } else if (type === 'AWS::S3::BucketPolicy') {
      onResources.set(
        `arn:aws:s3:::${text(stack, properties.Bucket)}`,
        document(stack, properties.PolicyDocument),
      );
    } else if (type === 'AWS::KMS::Key') {
      onResources.set(physicalNames.attribute(resource, 'Arn'), document(stack, properties.KeyPolicy));
    } else if (type === 'AWS::SecretsManager::ResourcePolicy') {
      onResources.set(text(stack, properties.SecretId), document(stack, properties.ResourcePolicy));
    }
  }
  for (const { stack, type, properties } of assembly.resources) {
    if (type !== 'AWS::IAM::Policy' && type !== 'AWS::IAM::ManagedPolicy') continue;
    for (const role of (resolve(stack, properties.Roles) ?? []) as string[]) {
      byName.get(role)?.inline.push(document(stack, properties.PolicyDocument));
    }
  }
  return {
    rolePolicies: (arn) => roles.get(arn),
    resourcePolicy: (arn) => onResources.get(arn),
  };
}
