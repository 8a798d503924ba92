import type { ServerResponse } from 'node:http';
import type { Api } from '../template/api.ts';

/** What API Gateway answers by itself, with the status and message it has unless a gateway response says otherwise. */
const defaults = {
  UNAUTHORIZED: [401, 'Unauthorized'],
  ACCESS_DENIED: [403, 'User is not authorized to access this resource'],
  MISSING_AUTHENTICATION_TOKEN: [403, 'Missing Authentication Token'],
  REQUEST_TOO_LARGE: [413, 'Request Too Long'],
  UNSUPPORTED_MEDIA_TYPE: [415, 'Unsupported Media Type'],
  AUTHORIZER_FAILURE: [500, 'Internal server error'],
  API_CONFIGURATION_ERROR: [500, 'Internal server error'],
  INTEGRATION_FAILURE: [504, 'Internal server error'],
  INTEGRATION_TIMEOUT: [504, 'Endpoint request timed out'],
  BAD_REQUEST_BODY: [400, 'Bad Request'],
} as const satisfies Record<string, readonly [number, string]>;

export type GatewayResponseType = keyof typeof defaults;

/** An answer that the gateway gives instead of a function. */
export class GatewayError extends Error {
  readonly type: GatewayResponseType;
  /** Overrides the type's status where API Gateway does so (a malformed proxy response is 502). */
  readonly status: number | undefined;

  constructor(type: GatewayResponseType, status?: number) {
    super(type);
    this.type = type;
    this.status = status;
  }
}

export function sendGatewayResponse(
  response: ServerResponse,
  api: Api,
  error: GatewayError,
  requestId: string,
): void {
  const [defaultStatus, message] = defaults[error.type];
  const standard = error.status ?? defaultStatus;
  const custom =
    api.gatewayResponses.get(error.type) ??
    api.gatewayResponses.get(standard < 500 ? 'DEFAULT_4XX' : 'DEFAULT_5XX');
  const variables: Readonly<Record<string, string>> = {
    'context.requestId': requestId,
    'context.error.message': message,
    'context.error.messageString': JSON.stringify(message),
    'context.error.responseType': error.type,
  };
  const body = (custom?.template ?? '{"message":$context.error.messageString}').replaceAll(
    /\$(context\.[A-Za-z.]+[A-Za-z])/g,
    (match, name: string) => variables[name] ?? match,
  );
  response.statusCode = custom?.status ?? standard;
  const headers = {
    'content-type': custom?.contentType ?? 'application/json',
    'x-amzn-requestid': requestId,
    'x-amzn-errortype': error.type,
    ...custom?.headers,
    'content-length': Buffer.byteLength(body),
  };
  // One by one: names differ in case, and the template's own win.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}
