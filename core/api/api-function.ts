import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy, { type MiddyfiedHandler } from '@middy/core';
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda';
import type * as z from 'zod';
import type { Caller } from '../credential/caller.ts';
import { Problem } from '../problem/problem.ts';
import { callerOf } from './authorizer-context.ts';
import { problemAnswer } from './problem-answer.ts';
import { bodyOf, headerOf, readJsonBody, readPart } from './request-parts.ts';
import { type FunctionRole, type Route, type RouteKeyOf, routeTable } from './route-table.ts';

type Part<R, Name extends string> = R extends Record<Name, z.ZodType> ? z.infer<R[Name]> : undefined;

/** What a route's handler gets: everything checked against the route's schemas. */
export type RouteRequest<K extends keyof typeof routeTable> = {
  readonly caller: (typeof routeTable)[K]['scopes'] extends 'public' ? undefined : Caller;
  readonly params: Part<(typeof routeTable)[K], 'params'>;
  readonly query: Part<(typeof routeTable)[K], 'query'>;
  /** The parsed body; for `report` routes undefined: read `rawBody`. */
  readonly body: Part<(typeof routeTable)[K], 'body'>;
  /** The bytes as they came, decompressed by the gateway. */
  readonly rawBody: () => Buffer;
  /** Header by lower-case name. */
  readonly header: (name: string) => string | undefined;
  readonly requestId: string;
};

export type Answer = {
  /** Default: the status of the route's row. */
  readonly status?: number;
  /** JSON unless it is a string (then the row's media type holds). */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

export type RouteHandlers<R extends FunctionRole> = {
  readonly [K in RouteKeyOf<R>]: (request: RouteRequest<K>) => Promise<Answer>;
};

type Options<R extends FunctionRole> = {
  readonly role: R;
  readonly handlers: RouteHandlers<R>;
  readonly logger?: Logger;
  /** Answers what no row matches (the API sends that to one function only). */
  readonly otherwise?: (event: APIGatewayProxyEvent) => Answer;
};

export type ApiFunction = MiddyfiedHandler<APIGatewayProxyEvent, APIGatewayProxyResult>;

/**
 * The Lambda of one role behind the REST API: finds the row, checks the caller's scopes against it (the authorizer's
 * policy allows the whole stage, design.md 3), checks params, query and body, and turns problems into problem+json.
 * Unknown errors are logged, answered as INTERNAL, and counted by the log's metric filter.
 */
export function apiFunction<R extends FunctionRole>({
  role,
  handlers,
  logger = new Logger({ serviceName: role }),
  otherwise = () => {
    throw new Problem('NOT_FOUND');
  },
}: Options<R>): ApiFunction {
  // One row's handler takes one row's request: the table's keys pair them, which TypeScript cannot follow here.
  const byKey = handlers as Readonly<Record<string, ((request: unknown) => Promise<Answer>) | undefined>>;

  const answer = async (event: APIGatewayProxyEvent): Promise<APIGatewayProxyResult> => {
    const key = `${event.httpMethod} ${event.resource}`;
    const handler = byKey[key];
    if (!handler || !(key in routeTable)) return proxyResult(otherwise(event), undefined);
    const route: Route = routeTable[key as keyof typeof routeTable];
    const caller = callerFor(route, event);
    const request = {
      caller,
      params: readPart(route.params, event.pathParameters ?? {}, 'path'),
      query: readPart(route.query, event.queryStringParameters ?? {}, 'query'),
      body: route.body === undefined || route.body === 'report' ? undefined : readJsonBody(route.body, event),
      rawBody: () => bodyOf(event),
      header: (name: string) => headerOf(event, name),
      requestId: event.requestContext.requestId,
    };
    return proxyResult(await handler(request), route);
  };

  return middy<APIGatewayProxyEvent, APIGatewayProxyResult>()
    .use(injectLambdaContext(logger, { resetKeys: true }))
    .before(({ event }) => {
      logger.appendKeys({
        requestId: event.requestContext.requestId,
        route: `${event.httpMethod} ${event.resource}`,
      });
    })
    .onError((request) => {
      request.response = problemAnswer(request.error, request.event.requestContext.requestId, logger);
    })
    .handler(answer);
}

function callerFor(route: Route, event: APIGatewayProxyEvent): Caller | undefined {
  if (route.scopes === 'public') return undefined;
  const caller = callerOf(event.requestContext.authorizer);
  if (!caller) throw new Problem('UNAUTHENTICATED');
  if (route.scopes !== 'any' && !route.scopes.some((scope) => caller.scopes.has(scope))) {
    throw new Problem('ACCESS_DENIED', `This needs ${route.scopes.join(' or ')}.`);
  }
  return caller;
}

function proxyResult(answer: Answer, route: Route | undefined): APIGatewayProxyResult {
  const text = typeof answer.body === 'string';
  return {
    statusCode: answer.status ?? route?.answer.status ?? 200,
    headers: {
      ...(answer.body === undefined
        ? {}
        : { 'Content-Type': (text ? route?.answer.type : undefined) ?? 'application/json' }),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...answer.headers,
    },
    body:
      answer.body === undefined
        ? ''
        : typeof answer.body === 'string'
          ? answer.body
          : JSON.stringify(answer.body),
  };
}
