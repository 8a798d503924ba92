import { authorizerContext } from '../../core/api/authorizer-context.ts';
import { roleScopes } from '../../core/credential/scope.ts';

type Request = {
  readonly tenantId: string;
  readonly method?: string;
  readonly path: string;
  /** The route's template; the path when absent. */
  readonly resource?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** A request of a tenant's owner as API Gateway hands it over: the body is text, decompressed. */
export const apiEvent = ({
  tenantId,
  method = 'GET',
  path,
  resource,
  params,
  query,
  body,
}: Request): object => ({
  httpMethod: method,
  path,
  resource: resource ?? path,
  pathParameters: params ?? null,
  queryStringParameters: query ?? null,
  multiValueQueryStringParameters: null,
  headers: { 'Content-Type': 'application/json' },
  multiValueHeaders: {},
  stageVariables: null,
  body: body ?? null,
  isBase64Encoded: false,
  requestContext: {
    requestId: 'bench',
    authorizer: authorizerContext({
      kind: 'user',
      tenantId,
      principal: 'user:bench',
      scopes: new Set(roleScopes.owner),
    }),
  },
});
