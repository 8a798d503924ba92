import { Aws, RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  AccessLogField,
  AccessLogFormat,
  AuthorizationType,
  CfnStage,
  EndpointType,
  type IAuthorizer,
  type IResource,
  LambdaIntegration,
  LogGroupLogDestination,
  type Method,
  MethodLoggingLevel,
  RestApi,
  SecurityPolicy,
} from 'aws-cdk-lib/aws-apigateway';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { ApiGateway } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import { type FunctionRole, type Route, type RouteKey, routeTable } from '../core/api/route-table.ts';
import type { Domain } from './domain.ts';
import { gatewayResponses } from './gateway-responses.ts';
import { logRetention } from './role-function.ts';
import type { Settings } from './settings.ts';

/** Part of the URL where there is no domain; not `v1`, which the paths begin with already. */
const stageName = 'cattery';

/** Requests a second, and how many at once, over the whole API; beyond that 429. */
const throttle = { throttlingRateLimit: 1_000, throttlingBurstLimit: 2_000 } as const;

/** What the execution log takes: bodies and headers hold tokens. */
const logging = {
  loggingLevel: MethodLoggingLevel.ERROR,
  dataTraceEnabled: false,
  metricsEnabled: false,
} as const;

/**
 * The one public route whose answers have megabytes: everybody's requests for it together, so that they neither cost
 * gigabytes a second nor take all of the account's concurrent executions. Thirty clusters a second can be installed.
 */
const manifests: RouteKey = 'GET /v1/releases/{version}/manifests/{name}';
const manifestThrottle = { throttlingRateLimit: 100, throttlingBurstLimit: 200 } as const;

/** The REST API: every resource and method comes from core/api/route-table.ts. */
export class Api extends Construct {
  readonly restApi: RestApi;
  /** The base URL that everybody is told, without a slash at the end. */
  readonly url: string;

  constructor(
    scope: Construct,
    id: string,
    { settings, domain }: { settings: Pick<Settings, 'apiUrl'>; domain: Domain | undefined },
  ) {
    super(scope, id);
    const accessLogs = logGroup(this, 'AccessLogs');
    this.restApi = new RestApi(this, 'Rest', {
      restApiName: 'cattery',
      endpointTypes: [EndpointType.REGIONAL],
      // A fresh region has no role with which the gateway may log; it is the account's, so it stays.
      cloudWatchRole: true,
      cloudWatchRoleRemovalPolicy: RemovalPolicy.RETAIN,
      // One base URL (design.md 15).
      disableExecuteApiEndpoint: domain !== undefined,
      deployOptions: {
        stageName,
        ...throttle,
        ...logging,
        // A method's settings take the place of the stage's, all of them.
        methodOptions: { [methodPath(manifests)]: { ...manifestThrottle, ...logging } },
        accessLogDestination: new LogGroupLogDestination(accessLogs),
        accessLogFormat: accessLogFormat(),
      },
    });
    // The CDK's own output names the stage's URL even where that is disabled; the stack says `ApiUrl`.
    this.restApi.node.tryRemoveChild('Endpoint');
    gatewayResponses(this.restApi);
    this.#keepExecutionLogsFinite();
    this.#acknowledge();
    if (domain) {
      this.restApi.addDomainName('Domain', {
        domainName: domain.host('api'),
        certificate: domain.certificate,
        endpointType: EndpointType.REGIONAL,
        securityPolicy: SecurityPolicy.TLS_1_2,
      });
      domain.alias(this, 'api', new ApiGateway(this.restApi));
    }
    // Made from parts: the stage waits for the methods, the methods for the functions, and those are told this URL.
    const own = `https://${this.restApi.restApiId}.execute-api.${Aws.REGION}.${Aws.URL_SUFFIX}/${stageName}`;
    this.url = settings.apiUrl ?? (domain ? `https://${domain.host('api')}` : own);
  }

  /** Leads each route to its function, and everything else to the one that says 404 or 405. */
  connect(functions: Readonly<Record<FunctionRole, IFunction>>, authorizer: IAuthorizer): void {
    const integrate = (handler: IFunction) =>
      // One permission for the API: one per method would outgrow the function's policy (20 KB).
      new LambdaIntegration(handler, { scopePermissionToMethod: false });
    const integrations = {
      'install-assets': integrate(functions['install-assets']),
      registration: integrate(functions.registration),
      'image-scan': integrate(functions['image-scan']),
      admission: integrate(functions.admission),
    } as const satisfies Record<FunctionRole, LambdaIntegration>;
    const otherwise = integrations['install-assets'];
    const root = this.restApi.root;

    const resources = new Set<IResource>([root]);
    for (const [key, route] of Object.entries<Route>(routeTable)) {
      const [method = '', path = ''] = key.split(' ');
      let resource: IResource = root;
      for (const part of path.split('/').filter(Boolean)) {
        resource = resource.getResource(part) ?? resource.addResource(part);
        resources.add(resource);
      }
      const isPublic = route.scopes === 'public';
      const made = resource.addMethod(
        method,
        integrations[route.role],
        isPublic
          ? { authorizationType: AuthorizationType.NONE }
          : { authorizationType: AuthorizationType.CUSTOM, authorizer },
      );
      if (isPublic) acknowledgePublic(made, 'The route table says public: it tells nothing of any tenant.');
      else acknowledgeAuthorizer(made);
    }
    resources.add(root.addResource('{proxy+}'));
    for (const resource of resources) {
      const any = resource.addMethod('ANY', otherwise, { authorizationType: AuthorizationType.NONE });
      acknowledgePublic(any, 'No route: answers 404 or 405 to anyone, and touches nothing.');
    }
  }

  /** The gateway makes this group by itself, without an end, unless it is there already. */
  #keepExecutionLogsFinite(): void {
    const group = logGroup(
      this,
      'ExecutionLogs',
      `API-Gateway-Execution-Logs_${this.restApi.restApiId}/${stageName}`,
    );
    this.restApi.deploymentStage.node.addDependency(group);
  }

  #acknowledge(): void {
    Validations.of(this.restApi).acknowledge({
      id: 'AwsSolutions-APIG2',
      reason: 'The functions check every part of a request against the zod schemas of the route table.',
    });
    const stage = this.restApi.deploymentStage.node.defaultChild;
    if (stage instanceof CfnStage) {
      Validations.of(stage).acknowledge({
        id: 'AwsSolutions-APIG3',
        reason: 'A web ACL is paid by the month and the account’s own choice; throttling is set here.',
      });
    }
    Validations.of(this.restApi.node.findChild('CloudWatchRole')).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]',
      reason: 'API Gateway asks for exactly this policy on the role that it logs with.',
    });
  }
}

function logGroup(scope: Construct, id: string, logGroupName?: string): LogGroup {
  return new LogGroup(scope, id, {
    retention: logRetention,
    removalPolicy: RemovalPolicy.RETAIN,
    ...(logGroupName ? { logGroupName } : {}),
  });
}

/** One JSON object a request; no query, header or body. */
function accessLogFormat(): AccessLogFormat {
  return AccessLogFormat.custom(
    JSON.stringify({
      requestId: AccessLogField.contextRequestId(),
      time: AccessLogField.contextRequestTimeEpoch(),
      sourceIp: AccessLogField.contextIdentitySourceIp(),
      userAgent: AccessLogField.contextIdentityUserAgent(),
      method: AccessLogField.contextHttpMethod(),
      route: AccessLogField.contextResourcePath(),
      path: AccessLogField.contextPath(),
      status: AccessLogField.contextStatus(),
      responseBytes: AccessLogField.contextResponseLength(),
      latencyMs: AccessLogField.contextResponseLatency(),
      tenantId: AccessLogField.contextAuthorizer('tenantId'),
      principal: AccessLogField.contextAuthorizer('principal'),
      error: AccessLogField.contextErrorResponseType(),
    }),
  );
}

const acknowledgePublic = (method: Method, reason: string): void =>
  Validations.of(method).acknowledge(
    { id: 'AwsSolutions-APIG4', reason },
    { id: 'AwsSolutions-COG4', reason },
  );

const acknowledgeAuthorizer = (method: Method): void =>
  Validations.of(method).acknowledge({
    id: 'AwsSolutions-COG4',
    reason: 'Our own authorizer verifies the user pool’s tokens as well as API keys and clusters’ tokens.',
  });

/** A row's method as the stage's settings name it: `/path/METHOD`. */
function methodPath(key: RouteKey): string {
  const [method, path] = key.split(' ');
  return `${path ?? ''}/${method ?? ''}`;
}
