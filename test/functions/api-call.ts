import { Logger } from '@aws-lambda-powertools/logger';
import type { APIGatewayProxyEvent, Context } from 'aws-lambda';
import { type ApiFunction, apiFunction, type RouteHandlers } from '../../core/api/api-function.ts';
import { authorizerContext } from '../../core/api/authorizer-context.ts';
import type { FunctionRole } from '../../core/api/route-table.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { roleScopes, type Role } from '../../core/credential/scope.ts';

/** A call as the gateway hands it to a function. */
export type Call = {
  readonly method?: string;
  /** Path as requested, e.g. `/v1/clusters/c-…`. */
  readonly path: string;
  /** The route's template; the path when absent. */
  readonly resource?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Undefined: no authorizer ran. */
  readonly caller?: Caller | undefined;
};

export type Answered = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The body as JSON. */
  readonly json: () => Record<string, unknown>;
};

/** A member of a tenant with one role's scopes. */
export const member = (tenantId: string, role: Role = 'owner'): Caller => ({
  kind: 'user',
  tenantId,
  principal: 'user:test',
  scopes: new Set(roleScopes[role]),
});

const silent = new Logger({ serviceName: 'test', logLevel: 'SILENT' });

/** Calls a role's handlers through the very middleware that they are deployed with. */
export function caller<R extends FunctionRole>(
  role: R,
  handlers: RouteHandlers<R>,
  otherwise?: Parameters<typeof apiFunction<R>>[0]['otherwise'],
): (call: Call) => Promise<Answered> {
  const run = apiFunction({ role, handlers, logger: silent, ...(otherwise ? { otherwise } : {}) });
  return (call) => send(run, call);
}

async function send(run: ApiFunction, call: Call): Promise<Answered> {
  const bytes = typeof call.body === 'string' || call.body === undefined ? undefined : Buffer.from(call.body);
  const event = {
    httpMethod: call.method ?? 'GET',
    path: call.path,
    resource: call.resource ?? call.path,
    pathParameters: call.params ?? null,
    queryStringParameters: call.query ?? null,
    multiValueQueryStringParameters: null,
    headers: call.headers ?? {},
    multiValueHeaders: {},
    stageVariables: null,
    body: bytes ? bytes.toString('base64') : ((call.body as string | undefined) ?? null),
    isBase64Encoded: bytes !== undefined,
    requestContext: {
      requestId: 'request-1',
      ...(call.caller ? { authorizer: authorizerContext(call.caller) } : {}),
    },
  } as unknown as APIGatewayProxyEvent;
  const context = { functionName: 'test', awsRequestId: 'request-1', memoryLimitInMB: '128' } as Context;
  const result = await run(event, context);
  return {
    status: result.statusCode,
    headers: result.headers as Record<string, string>,
    text: result.body,
    json: () => JSON.parse(result.body) as Record<string, unknown>,
  };
}
