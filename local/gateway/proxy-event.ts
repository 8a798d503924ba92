import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { APIGatewayProxyEvent } from 'aws-lambda';
import type { Api, ApiMethod } from '../template/api.ts';
import { laptop } from '../template/intrinsics.ts';

type Parts = {
  readonly request: IncomingMessage;
  readonly api: Api;
  readonly method: ApiMethod;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly pathParameters: Readonly<Record<string, string>> | null;
  readonly body: Buffer;
  readonly requestId: string;
  readonly authorizer: Readonly<Record<string, unknown>> | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
};

/** The event of a REST API's Lambda proxy integration, format 1.0 (API Gateway developer guide, "Input format of a Lambda function"). */
export function proxyEvent(parts: Parts): APIGatewayProxyEvent {
  const { request, api, method, query, body, now } = parts;
  const headers = headersOf(request);
  const binary = isBinary(api.binaryMediaTypes, request.headers['content-type']);
  const keys = [...new Set(query.keys())];
  return {
    resource: method.resource,
    path: parts.path,
    httpMethod: request.method ?? 'GET',
    headers: lastOf(headers),
    multiValueHeaders: headers,
    queryStringParameters:
      keys.length === 0 ? null : Object.fromEntries(keys.map((key) => [key, query.getAll(key).at(-1) ?? ''])),
    multiValueQueryStringParameters:
      keys.length === 0 ? null : Object.fromEntries(keys.map((key) => [key, query.getAll(key)])),
    pathParameters: parts.pathParameters,
    stageVariables: null,
    body: body.length === 0 ? null : body.toString(binary ? 'base64' : 'utf8'),
    isBase64Encoded: binary && body.length > 0,
    requestContext: {
      accountId: laptop.accountId,
      apiId: api.id,
      authorizer: parts.authorizer,
      domainName: request.headers.host ?? '',
      extendedRequestId: randomUUID(),
      httpMethod: request.method ?? 'GET',
      identity: {
        accessKey: null,
        accountId: null,
        apiKey: null,
        apiKeyId: null,
        caller: null,
        clientCert: null,
        cognitoAuthenticationProvider: null,
        cognitoAuthenticationType: null,
        cognitoIdentityId: null,
        cognitoIdentityPoolId: null,
        principalOrgId: null,
        sourceIp: request.socket.remoteAddress ?? '',
        user: null,
        userAgent: request.headers['user-agent'] ?? null,
        userArn: null,
      },
      path: `/${api.stage}${parts.path}`,
      protocol: 'HTTP/1.1',
      requestId: parts.requestId,
      requestTimeEpoch: now,
      resourceId: method.resource,
      resourcePath: method.resource,
      stage: api.stage,
    },
  };
}

/** Names as the client wrote them; the body reaches the function decompressed, so its coding does not. */
function headersOf(request: IncomingMessage): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2);
    if (/^(?:content-encoding|content-length|transfer-encoding|connection)$/i.test(name)) continue;
    (headers[name] ??= []).push(value);
  }
  return headers;
}

const lastOf = (headers: Record<string, string[]>) =>
  Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, values.at(-1) ?? '']));

function isBinary(types: readonly string[], contentType: string | undefined): boolean {
  const type = contentType?.split(';')[0]?.trim().toLowerCase();
  return types.some((binary) => binary === '*/*' || binary.toLowerCase() === type);
}
