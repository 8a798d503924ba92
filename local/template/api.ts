import type { Assembly, Resource } from './assembly.ts';
import type { Resolver } from './intrinsics.ts';
import { physicalNames } from './physical-names.ts';

/** One method of the REST API; `ANY` stands for those that have no row of their own. */
export type ApiMethod = {
  readonly httpMethod: string;
  /** As in `event.resource`: `/v1/clusters/{clusterId}`, `/{proxy+}`. */
  readonly resource: string;
  readonly functionArn: string;
  /** Logical ID of the authorizer; undefined: none. */
  readonly authorizer: string | undefined;
};

export type ApiAuthorizer = {
  readonly id: string;
  readonly functionArn: string;
  readonly cacheMs: number;
};

export type GatewayResponse = {
  readonly status: number | undefined;
  /** Header name → value. */
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string;
  /** Text with `$context.…` in it. */
  readonly template: string;
};

export type Api = {
  readonly id: string;
  readonly stage: string;
  readonly methods: readonly ApiMethod[];
  readonly authorizers: ReadonlyMap<string, ApiAuthorizer>;
  readonly gatewayResponses: ReadonlyMap<string, GatewayResponse>;
  readonly binaryMediaTypes: readonly string[];
};

export function apiOf(assembly: Assembly, resolver: Resolver): Api {
  const { resolve, text } = resolver;
  const ofType = (type: string) => assembly.resources.filter((resource) => resource.type === type);
  const [api] = ofType('AWS::ApiGateway::RestApi');
  const [stage] = ofType('AWS::ApiGateway::Stage');
  if (!api || !stage) throw new Error('The templates have no REST API with a stage.');
  const resources = new Map(
    ofType('AWS::ApiGateway::Resource').map((resource) => [resource.logicalId, resource]),
  );

  const pathOf = (resource: Resource | undefined): string => {
    if (!resource) return '';
    const parent = (resource.properties.ParentId as { Ref?: string }).Ref;
    return `${pathOf(parent === undefined ? undefined : resources.get(parent))}/${String(resource.properties.PathPart)}`;
  };

  return {
    id: physicalNames.ref(api),
    stage: String(stage.properties.StageName),
    methods: ofType('AWS::ApiGateway::Method').flatMap(({ stack, properties }) => {
      const { Integration } = properties as { Integration?: { Type?: string; Uri?: unknown } };
      if (Integration?.Type !== 'AWS_PROXY')
        throw new Error('The laptop gateway knows Lambda proxy integrations only.');
      const resourceId = (properties.ResourceId as { Ref?: string }).Ref;
      return [
        {
          httpMethod: String(properties.HttpMethod),
          resource: pathOf(resourceId === undefined ? undefined : resources.get(resourceId)) || '/',
          functionArn: functionOf(text(stack, Integration.Uri)),
          authorizer: (properties.AuthorizerId as { Ref?: string } | undefined)?.Ref,
        },
      ];
    }),
    authorizers: new Map(
      ofType('AWS::ApiGateway::Authorizer').map(({ stack, logicalId, properties }) => {
        if (
          properties.Type !== 'REQUEST' ||
          properties.IdentitySource !== 'method.request.header.Authorization'
        )
          throw new Error(
            'The laptop gateway knows authorizers of requests by their header Authorization only.',
          );
        return [
          logicalId,
          {
            id: logicalId,
            functionArn: functionOf(text(stack, properties.AuthorizerUri)),
            cacheMs: Number(properties.AuthorizerResultTtlInSeconds ?? 300) * 1000,
          },
        ];
      }),
    ),
    gatewayResponses: new Map(
      ofType('AWS::ApiGateway::GatewayResponse').map(({ stack, properties }) => [
        String(properties.ResponseType),
        gatewayResponse(resolve(stack, properties) as Record<string, unknown>),
      ]),
    ),
    binaryMediaTypes: resolve(api.stack, api.properties.BinaryMediaTypes ?? []) as string[],
  };
}

/** `arn:…:apigateway:…:path/2015-03-31/functions/<arn>/invocations` → `<arn>`. */
function functionOf(uri: string): string {
  const arn = /\/functions\/(.+)\/invocations$/.exec(uri)?.[1];
  if (!arn) throw new Error(`Not an invocation URI: ${uri}`);
  return arn;
}

function gatewayResponse(properties: Record<string, unknown>): GatewayResponse {
  const {
    StatusCode,
    ResponseParameters = {},
    ResponseTemplates = {},
  } = properties as {
    StatusCode?: string;
    ResponseParameters?: Record<string, string>;
    ResponseTemplates?: Record<string, string>;
  };
  const [[contentType, template] = ['application/json', '{"message":$context.error.messageString}']] =
    Object.entries(ResponseTemplates);
  return {
    status: StatusCode === undefined ? undefined : Number(StatusCode),
    // Values are mapping expressions; a constant stands in single quotes.
    headers: Object.fromEntries(
      Object.entries(ResponseParameters).map(([name, value]) => [
        name.replace(/^gatewayresponse\.header\./, ''),
        value.replace(/^'(.*)'$/, '$1'),
      ]),
    ),
    contentType,
    template,
  };
}
