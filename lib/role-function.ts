import path from 'node:path';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  ApplicationLogLevel,
  Architecture,
  Code,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
  SystemLogLevel,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

type Options<E extends Record<string, string>> = {
  /** Folder under functions/ and bundle of the same name. */
  readonly name: string;
  /** Where the bundles lie (lib/bundle.ts). */
  readonly bundles: string;
  readonly description: string;
  /** Only where people call it by name; otherwise CloudFormation names it. */
  readonly functionName?: string;
  /** MiB; CPU comes with it, one whole CPU at 1769. */
  readonly memorySize: number;
  /** Seconds. */
  readonly timeout: number;
  /** Lets the function's role do what it must and says what the function is told: one place for both. */
  readonly environment: (role: Role) => E;
};

/** How long logs of functions, of the tunnel server and of the API stay. */
export const logRetention = RetentionDays.THREE_MONTHS;

/**
 * The Lambda of one role. No concurrency is reserved: a fresh account has 10 in all, of which none can be. No tracing:
 * logs carry the request's ID, and X-Ray would need a right on `*`.
 */
export class RoleFunction<E extends Record<string, string>> extends Construct {
  readonly function: LambdaFunction;
  readonly logGroup: LogGroup;
  readonly name: string;

  constructor(scope: Construct, id: string, options: Options<E>) {
    super(scope, id);
    this.name = options.name;
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: logRetention,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    // Not AWSLambdaBasicExecutionRole, which may write to every log group of the account.
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    this.logGroup.grantWrite(role);
    this.function = new LambdaFunction(this, 'Function', {
      description: options.description,
      ...(options.functionName === undefined ? {} : { functionName: options.functionName }),
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: Code.fromAsset(path.join(options.bundles, options.name)),
      handler: 'index.handler',
      role,
      environment: options.environment(role),
      memorySize: options.memorySize,
      timeout: Duration.seconds(options.timeout),
      logGroup: this.logGroup,
      loggingFormat: LoggingFormat.JSON,
      applicationLogLevelV2: ApplicationLogLevel.INFO,
      systemLogLevelV2: SystemLogLevel.WARN,
    });
  }
}
