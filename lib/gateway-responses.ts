import { ResponseType, type RestApi } from 'aws-cdk-lib/aws-apigateway';
import { type ProblemCode, problemCodes, problemMediaType } from '../core/problem/problem.ts';

type Answer = readonly [type: ResponseType, code: ProblemCode, headers?: Readonly<Record<string, string>>];

/**
 * What the gateway answers by itself, as the problems that our functions would answer. A path or method that is not
 * there is 404 and 405 through install-assets; the gateway's own 403 for it can only come before that.
 */
const answers: readonly Answer[] = [
  [ResponseType.UNAUTHORIZED, 'UNAUTHENTICATED', { 'WWW-Authenticate': 'Bearer' }],
  // The authorizer denies a signed-in user that belongs to no tenant, and nobody else.
  [ResponseType.ACCESS_DENIED, 'NOT_A_MEMBER'],
  [ResponseType.EXPIRED_TOKEN, 'ACCESS_DENIED'],
  [ResponseType.INVALID_API_KEY, 'ACCESS_DENIED'],
  [ResponseType.INVALID_SIGNATURE, 'ACCESS_DENIED'],
  [ResponseType.WAF_FILTERED, 'ACCESS_DENIED'],
  [ResponseType.MISSING_AUTHENTICATION_TOKEN, 'NOT_FOUND'],
  [ResponseType.RESOURCE_NOT_FOUND, 'NOT_FOUND'],
  [ResponseType.BAD_REQUEST_BODY, 'INVALID_REQUEST'],
  [ResponseType.BAD_REQUEST_PARAMETERS, 'INVALID_REQUEST'],
  [ResponseType.REQUEST_TOO_LARGE, 'PAYLOAD_TOO_LARGE'],
  [ResponseType.UNSUPPORTED_MEDIA_TYPE, 'UNSUPPORTED_MEDIA_TYPE'],
  [ResponseType.THROTTLED, 'TOO_MANY_REQUESTS', { 'Retry-After': '1' }],
  [ResponseType.QUOTA_EXCEEDED, 'TOO_MANY_REQUESTS'],
  // The authorizer fails when its table or the identity provider does not answer: that says nothing about the token.
  [ResponseType.AUTHORIZER_FAILURE, 'UNAVAILABLE', { 'Retry-After': '1' }],
  [ResponseType.AUTHORIZER_CONFIGURATION_ERROR, 'INTERNAL'],
  [ResponseType.API_CONFIGURATION_ERROR, 'INTERNAL'],
  [ResponseType.INTEGRATION_TIMEOUT, 'TIMEOUT'],
  [ResponseType.INTEGRATION_FAILURE, 'INTERNAL'],
  [ResponseType.DEFAULT_4XX, 'INVALID_REQUEST'],
  [ResponseType.DEFAULT_5XX, 'INTERNAL'],
];

/** Makes every answer of the gateway itself a problem+json. */
export function gatewayResponses(restApi: RestApi): void {
  for (const [type, code, headers] of answers) {
    const [status, title] = problemCodes[code];
    const problem = {
      type: `urn:cattery:problem:${code}`,
      title,
      status,
      code,
      requestId: '$context.requestId',
    };
    restApi.addGatewayResponse(type.responseType, {
      type,
      statusCode: String(status),
      // The gateway picks a template by media type and knows application/json best; the header says what it is.
      templates: { 'application/json': JSON.stringify(problem) },
      responseHeaders: literals({
        'Content-Type': problemMediaType,
        'Cache-Control': 'no-store',
        ...headers,
      }),
    });
  }
}

/** The gateway reads an unquoted value as a reference into the request. */
const literals = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, `'${value}'`]));
