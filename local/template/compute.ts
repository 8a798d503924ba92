import path from 'node:path';
import { reachesInternet } from '../../lib/function-metadata.ts';
import type { Assembly, Resource } from './assembly.ts';
import type { Resolver } from './intrinsics.ts';
import { physicalNames } from './physical-names.ts';

/** A Lambda function whose bundle is in the assembly. */
export type FunctionSpec = {
  readonly name: string;
  readonly logicalId: string;
  readonly arn: string;
  readonly roleArn: string;
  /** Directory of the asset. */
  readonly code: string;
  /** `file.export`. */
  readonly handler: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly memoryMb: number;
  /** It asks hosts of the internet (lib/release-mirror.ts): a laptop runs it only when someone invokes it. */
  readonly reachesInternet: boolean;
};

/** The one container of the Fargate service. */
export type ContainerSpec = {
  /** The bundle that the image runs, absolute. */
  readonly bundle: string;
  readonly roleArn: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
  readonly memoryMb: number;
  readonly stopTimeoutMs: number;
};

type FunctionProperties = {
  Handler?: string;
  Runtime?: string;
  Role: string;
  Timeout?: number;
  MemorySize?: number;
  Environment?: { Variables?: Record<string, string> };
};

/** The functions with an asset, but for CDK's own that serve custom resources: here the laptop stack does their work. */
export function functionsOf(assembly: Assembly, { resolve }: Resolver): FunctionSpec[] {
  const providers = new Set(
    assembly.resources
      .filter(({ type }) => type.startsWith('Custom::'))
      .map(({ properties }) => JSON.stringify(properties.ServiceToken)),
  );
  return assembly.resources.flatMap((resource) => {
    const asset = resource.metadata['aws:asset:path'];
    if (resource.type !== 'AWS::Lambda::Function' || typeof asset !== 'string') return [];
    if (providers.has(JSON.stringify({ 'Fn::GetAtt': [resource.logicalId, 'Arn'] }))) return [];
    const properties = resolve(resource.stack, {
      Handler: resource.properties.Handler,
      Runtime: resource.properties.Runtime,
      Role: resource.properties.Role,
      Timeout: resource.properties.Timeout,
      MemorySize: resource.properties.MemorySize,
      Environment: resource.properties.Environment,
    }) as FunctionProperties;
    return [
      {
        name: physicalNames.ref(resource),
        logicalId: resource.logicalId,
        arn: physicalNames.attribute(resource, 'Arn'),
        roleArn: properties.Role,
        code: path.resolve(assembly.directory, asset),
        handler: properties.Handler ?? 'index.handler',
        environment: properties.Environment?.Variables ?? {},
        timeoutMs: (properties.Timeout ?? 3) * 1000,
        memoryMb: properties.MemorySize ?? 128,
        reachesInternet: resource.metadata[reachesInternet] === true,
      },
    ];
  });
}

/** Functions that `aws-cdk-lib/triggers` invokes at deployment: a trigger names a version, a version its function. */
export function triggeredOf(assembly: Assembly): string[] {
  return assembly.resources
    .filter(({ type }) => type === 'Custom::Trigger')
    .map(({ stack, properties }) => {
      const version = follow(assembly, stack, properties.HandlerArn);
      const target =
        version?.type === 'AWS::Lambda::Version'
          ? follow(assembly, stack, version.properties.FunctionName)
          : version;
      if (!target) throw new Error('A trigger names no function of its stack.');
      return physicalNames.ref(target);
    });
}

/** Functions behind EventBridge rules with a `rate(…)`. */
export function scheduledOf(assembly: Assembly): { functionName: string; everyMs: number }[] {
  return assembly.resources
    .filter(({ type }) => type === 'AWS::Events::Rule')
    .flatMap(({ stack, properties }) => {
      const everyMs = rateMs(properties.ScheduleExpression);
      const targets = (properties.Targets ?? []) as { Arn: unknown }[];
      return targets.flatMap(({ Arn }) => {
        const target = follow(assembly, stack, Arn);
        return everyMs && target?.type === 'AWS::Lambda::Function'
          ? [{ functionName: physicalNames.ref(target), everyMs }]
          : [];
      });
    });
}

/** Undefined for a rule that waits for events instead. */
function rateMs(expression: unknown): number | undefined {
  if (typeof expression !== 'string') return undefined;
  const match = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression);
  if (!match)
    throw new Error(`The laptop stack knows schedules of the form rate(…) only, not ${expression}.`);
  const units = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };
  return Number(match[1]) * units[match[2] as keyof typeof units];
}

/** The resource that a `Ref` or `Fn::GetAtt` names. */
export function follow(assembly: Assembly, stack: string, value: unknown): Resource | undefined {
  const { Ref: name, 'Fn::GetAtt': attribute } = (value ?? {}) as {
    Ref?: string;
    'Fn::GetAtt'?: [string, string];
  };
  const logicalId = name ?? attribute?.[0];
  return assembly.resources.find((resource) => resource.stack === stack && resource.logicalId === logicalId);
}

type ContainerDefinition = {
  Environment?: { Name: string; Value: string }[];
  PortMappings?: { ContainerPort: number }[];
  StopTimeout?: number;
};

export function containerOf(assembly: Assembly, { resolve }: Resolver): ContainerSpec {
  const task = assembly.resources.find(({ type }) => type === 'AWS::ECS::TaskDefinition');
  if (!task) throw new Error('The templates have no task definition.');
  const [definition] = task.properties.ContainerDefinitions as (ContainerDefinition | undefined)[];
  if (!definition) throw new Error('The task definition has no container.');
  const {
    Environment = [],
    PortMappings = [],
    StopTimeout,
  } = resolve(task.stack, {
    Environment: definition.Environment,
    PortMappings: definition.PortMappings,
    StopTimeout: definition.StopTimeout,
  }) as ContainerDefinition;
  const [context] = assembly.imageContexts;
  if (context === undefined) throw new Error('The templates build no image for the tunnel server.');
  return {
    bundle: path.join(context, 'index.mjs'),
    roleArn: resolve(task.stack, task.properties.TaskRoleArn) as string,
    environment: Object.fromEntries(Environment.map(({ Name, Value }) => [Name, Value])),
    ports: PortMappings.map(({ ContainerPort }) => ContainerPort),
    memoryMb: Number(task.properties.Memory),
    stopTimeoutMs: (StopTimeout ?? 30) * 1000,
  };
}
