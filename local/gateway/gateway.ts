import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import * as z from 'zod';
import type { Invoke } from '../function/function-process.ts';
import type { Api } from '../template/api.ts';
import { Authorizers } from './authorizer.ts';
import { GatewayError, sendGatewayResponse } from './gateway-response.ts';
import { proxyEvent } from './proxy-event.ts';
import { readBody } from './request-body.ts';
import { matcher } from './routes.ts';

/** API Gateway's bound on an integration. */
const integrationTimeoutMs = 29_000;
/** Lambda's bound on the event of a synchronous invocation, as JSON. */
const maxEventBytes = 6 * 1024 * 1024;

const proxyResult = z.object({
  statusCode: z.coerce.number().int().min(100).max(599),
  headers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  multiValueHeaders: z.record(z.string(), z.array(z.union([z.string(), z.number(), z.boolean()]))).optional(),
  body: z.string().optional(),
  isBase64Encoded: z.boolean().optional(),
});

/** The REST API of the template in front of the function runner: what API Gateway does between a client and a Lambda. */
export function gateway(api: Api, invoke: Invoke, now: () => number = Date.now): RequestListener {
  const match = matcher(api);
  const authorizers = new Authorizers(api, invoke, now);

  return (request, response) => {
    const requestId = randomUUID();
    handle(request, response, requestId).catch((error: unknown) => {
      const known = error instanceof GatewayError ? error : new GatewayError('API_CONFIGURATION_ERROR');
      if (response.headersSent) response.destroy();
      else sendGatewayResponse(response, api, known, requestId);
      // What the client still sends has nowhere to go.
      request.resume();
    });
  };

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
  ): Promise<void> {
    const [path, query] = split(request.url ?? '/');
    const found = match(request.method ?? 'GET', path);
    if (found.kind === 'none') throw new GatewayError('MISSING_AUTHENTICATION_TOKEN');
    const { method, pathParameters } = found;
    const asked = {
      request,
      api,
      method,
      path,
      query: new URLSearchParams(query),
      pathParameters,
      requestId,
      now: now(),
    };
    const authorizer = method.authorizer ? await authorizers.authorize(method.authorizer, asked) : undefined;
    const event = proxyEvent({ ...asked, body: await readBody(request), authorizer });
    if (Buffer.byteLength(JSON.stringify(event)) > maxEventBytes) throw new GatewayError('REQUEST_TOO_LARGE');
    const result = await bounded(invoke(method.functionArn, event));
    if ('error' in result) throw new GatewayError('API_CONFIGURATION_ERROR', 502);
    const answer = proxyResult.safeParse(result.value);
    if (!answer.success) throw new GatewayError('API_CONFIGURATION_ERROR', 502);
    send(response, answer.data, requestId);
  }
}

function split(url: string): [string, string] {
  const cut = url.indexOf('?');
  return cut < 0 ? [url, ''] : [url.slice(0, cut), url.slice(cut + 1)];
}

async function bounded<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new GatewayError('INTEGRATION_TIMEOUT')), integrationTimeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function send(response: ServerResponse, answer: z.infer<typeof proxyResult>, requestId: string): void {
  const body = Buffer.from(answer.body ?? '', answer.isBase64Encoded ? 'base64' : 'utf8');
  response.statusCode = answer.statusCode;
  response.setHeader('x-amzn-requestid', requestId);
  response.setHeader('content-type', 'application/json');
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, String(value));
  for (const [name, values] of Object.entries(answer.multiValueHeaders ?? {}))
    response.setHeader(name, values.map(String));
  if (answer.statusCode === 204 || answer.statusCode === 304) {
    response.removeHeader('content-type');
    response.end();
    return;
  }
  response.setHeader('content-length', body.length);
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
