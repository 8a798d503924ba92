import { Logger } from '@aws-lambda-powertools/logger';
import type { APIGatewayProxyEvent, Context } from 'aws-lambda';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { type Answer, apiFunction, type RouteHandlers } from '../../../core/api/api-function.ts';
import { authorizerContext } from '../../../core/api/authorizer-context.ts';
import { routeTable } from '../../../core/api/route-table.ts';
import { roleScopes, type Scope } from '../../../core/credential/scope.ts';
import { Problem } from '../../../core/problem/problem.ts';

const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';

/** Keeps what it is told instead of writing it. */
class Told extends Logger {
  readonly errors: unknown[][] = [];
  override error(...line: Parameters<Logger['error']>): void {
    this.errors.push(line);
  }
}

describe('a function of the API', () => {
  const logger = new Told({ serviceName: 'test', logLevel: 'SILENT' });
  let seen: unknown[] = [];
  let answer: () => Answer = () => ({ body: {} });
  const handler = (request: unknown): Promise<Answer> => {
    seen.push(request);
    return Promise.resolve().then(() => answer());
  };
  const keys = Object.entries(routeTable).flatMap(([key, { role }]) =>
    role === 'registration' ? [key] : [],
  );
  const run = apiFunction({
    role: 'registration',
    handlers: Object.fromEntries(
      keys.map((key) => [key, handler]),
    ) as unknown as RouteHandlers<'registration'>,
    logger,
  });
  beforeEach(() => {
    seen = [];
    answer = () => ({ body: {} });
    logger.errors.length = 0;
  });

  const call = async (
    method: string,
    resource: string,
    more: Partial<APIGatewayProxyEvent> = {},
    scopes: readonly Scope[] = roleScopes.owner,
  ) => {
    const event = {
      httpMethod: method,
      resource,
      path: resource,
      headers: {},
      pathParameters: null,
      queryStringParameters: null,
      body: null,
      isBase64Encoded: false,
      requestContext: {
        requestId: 'request-1',
        authorizer: authorizerContext({
          kind: 'user',
          tenantId,
          principal: 'user:u',
          scopes: new Set(scopes),
        }),
      },
      ...more,
    } as unknown as APIGatewayProxyEvent;
    const result = await run(event, {} as Context);
    return {
      ...result,
      json: (result.body === '' ? {} : JSON.parse(result.body)) as Record<string, unknown>,
    };
  };
  const post = (body: string | null, headers: Record<string, string> = {}) =>
    call('POST', '/v1/registration-tokens', { body, headers });

  test('answers with the status of the row, JSON, and forbids to store it', async () => {
    answer = () => ({ body: { tokenId: 'x' }, headers: { Location: 'y' } });
    expect(await post('{}')).toMatchObject({
      statusCode: 201,
      headers: {
        'Content-Type': 'application/json',
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        Location: 'y',
      },
      body: '{"tokenId":"x"}',
    });
  });

  test('hands on the verified caller, never one that the request names', async () => {
    await call('GET', '/v1/clusters', {
      headers: { 'x-tenant-id': 't-bbbbbbbbbbbbbbbbbbbb' },
      queryStringParameters: { tenantId: 't-bbbbbbbbbbbbbbbbbbbb' },
    });
    expect(seen).toMatchObject([{ caller: { tenantId, principal: 'user:u' } }]);
  });

  test('asks for one of the row’s scopes: 403 ACCESS_DENIED without, on every route', async () => {
    for (const key of keys) {
      const { scopes } = routeTable[key as keyof typeof routeTable];
      if (typeof scopes === 'string') continue;
      const [method = '', resource = ''] = key.split(' ');
      const params = { clusterId: 'c-aaaaaaaaaaaaaaaaaaaa', tokenId: 'a'.repeat(16) };
      const others = [...roleScopes.owner, 'registration:use' as const, 'cluster:report' as const].filter(
        (scope) => !(scopes as readonly Scope[]).includes(scope),
      );
      const refused = await call(method, resource, { pathParameters: params, body: '{}' }, others);
      expect([key, refused.statusCode, refused.json.code]).toEqual([key, 403, 'ACCESS_DENIED']);
    }
    expect(seen).toEqual([]);
  });

  test('answers 401 when no authorizer ran or it told nothing', async () => {
    expect(
      (await call('GET', '/v1/clusters', { requestContext: { requestId: 'r' } as never })).statusCode,
    ).toBe(401);
    const empty = { requestId: 'r', authorizer: { scopes: 'clusters:read' } } as never;
    expect((await call('GET', '/v1/clusters', { requestContext: empty })).statusCode).toBe(401);
  });

  test('answers 404 NOT_FOUND to a path that cannot be, and to what no row of this function matches', async () => {
    for (const [method, resource] of [
      ['GET', '/v1/nothing'],
      ['PUT', '/v1/clusters'],
      ['GET', '/v1/images'],
      ['GET', '/__proto__'],
    ] as const) {
      const { statusCode, json } = await call(method, resource);
      expect([statusCode, json.code]).toEqual([404, 'NOT_FOUND']);
    }
    const bad = await call('GET', '/v1/clusters/{clusterId}', { pathParameters: { clusterId: 'x' } });
    expect([bad.statusCode, bad.json.code]).toEqual([404, 'NOT_FOUND']);
  });

  test.each([
    ['text/plain', 415],
    ['application/jsonp', 415],
    ['application/x-www-form-urlencoded', 415],
    ['application/json', 201],
    ['Application/JSON; charset=utf-8', 201],
    ['application/vnd.x+json', 201],
  ])('answers a body of type %s with %d', async (type, status) => {
    expect((await post('{}', { 'content-TYPE': type })).statusCode).toBe(status);
  });

  test('answers 400 to what is no JSON, without quoting it', async () => {
    const { statusCode, body, json } = await post('{"clusterName": "my-secret-');
    expect([statusCode, json.code]).toEqual([400, 'INVALID_JSON']);
    expect(body).not.toContain('my-secret');
  });

  test('answers 400 INVALID_REQUEST to a body or query that does not fit, and tells where', async () => {
    const unknown = await post('{"ttlSeconds": 1, "x": 2}');
    expect([unknown.statusCode, unknown.json.code]).toEqual([400, 'INVALID_REQUEST']);
    expect(unknown.json.errors).toEqual(
      expect.arrayContaining([expect.objectContaining({ path: '/ttlSeconds' })]),
    );
    for (const body of ['[]', 'null', '"x"', '1']) expect((await post(body)).statusCode).toBe(400);
    const query = await call('GET', '/v1/clusters', { queryStringParameters: { limit: '0' } });
    expect([query.statusCode, query.json.code]).toEqual([400, 'INVALID_REQUEST']);
    expect(seen).toEqual([]);
  });

  test('reads a body that the gateway gave in base64', async () => {
    const body = Buffer.from('{"clusterName":"b64"}').toString('base64');
    await call('POST', '/v1/registration-tokens', { body, isBase64Encoded: true });
    expect(seen).toMatchObject([{ body: { clusterName: 'b64', ttlSeconds: 3_600 } }]);
  });

  test('answers a problem as problem+json with the request ID and its headers', async () => {
    answer = () => {
      throw new Problem('UNAVAILABLE', 'not now', { headers: { 'Retry-After': '2' } });
    };
    const { statusCode, headers, json } = await post('{}');
    expect([statusCode, headers?.['Content-Type'], headers?.['Retry-After']]).toEqual([
      503,
      'application/problem+json',
      '2',
    ]);
    expect(json).toMatchObject({
      code: 'UNAVAILABLE',
      status: 503,
      detail: 'not now',
      requestId: 'request-1',
    });
  });

  test('answers an unknown error as INTERNAL, without its text, and logs it', async () => {
    answer = () => {
      throw new Error('the table arn:aws:… said no');
    };
    const { statusCode, body, json } = await post('{}');
    expect([statusCode, json.code]).toEqual([500, 'INTERNAL']);
    expect(body).not.toContain('arn:aws');
    expect(logger.errors).toHaveLength(1);
    expect((logger.errors[0]?.[1] as { error: Error }).error.message).toContain('arn:aws');
  });
});
