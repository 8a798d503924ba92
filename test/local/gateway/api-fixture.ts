import type { Api } from '../../../local/template/api.ts';

/** A small REST API as the template reader gives it. */
export const apiFixture: Api = {
  id: 'abc123',
  stage: 'prod',
  methods: [
    { httpMethod: 'GET', resource: '/things', functionArn: 'fn:things', authorizer: 'auth' },
    { httpMethod: 'POST', resource: '/things', functionArn: 'fn:things', authorizer: 'auth' },
    { httpMethod: 'ANY', resource: '/things', functionArn: 'fn:otherwise', authorizer: undefined },
    { httpMethod: 'GET', resource: '/things/{thingId}', functionArn: 'fn:things', authorizer: undefined },
    { httpMethod: 'GET', resource: '/things/latest', functionArn: 'fn:latest', authorizer: undefined },
    { httpMethod: 'POST', resource: '/open', functionArn: 'fn:open', authorizer: undefined },
    { httpMethod: 'ANY', resource: '/{proxy+}', functionArn: 'fn:otherwise', authorizer: undefined },
  ],
  authorizers: new Map([['auth', { id: 'auth', functionArn: 'fn:auth', cacheMs: 5_000 }]]),
  gatewayResponses: new Map([
    [
      'UNAUTHORIZED',
      {
        status: 401,
        headers: { 'WWW-Authenticate': 'Bearer', 'Content-Type': 'application/problem+json' },
        contentType: 'application/json',
        template: '{"code":"UNAUTHENTICATED","requestId":"$context.requestId"}',
      },
    ],
    [
      'DEFAULT_4XX',
      {
        status: undefined,
        headers: {},
        contentType: 'application/json',
        template: '{"m":$context.error.messageString}',
      },
    ],
  ]),
  binaryMediaTypes: ['application/octet-stream'],
};
