import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync, brotliCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { APIGatewayProxyEvent, APIGatewayRequestAuthorizerEvent } from 'aws-lambda';
import type { InvocationResult } from '../../../local/function/function-process.ts';
import { gateway } from '../../../local/gateway/gateway.ts';
import { apiFixture } from './api-fixture.ts';

type Answer = {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** As sent, each time it was sent. */
  headerNames: string[];
  body: string;
};

describe('the laptop gateway answers as API Gateway does', () => {
  let server: Server;
  let invoked: { arn: string; event: APIGatewayProxyEvent }[];
  let answers: Record<string, (event: APIGatewayProxyEvent) => InvocationResult>;
  let time: number;

  const ok = (body: unknown): InvocationResult => ({
    value: { statusCode: 200, body: JSON.stringify(body) },
  });
  const allow = (effect: 'Allow' | 'Deny'): InvocationResult => ({
    value: {
      principalId: 'someone',
      policyDocument: {
        Statement: [
          { Effect: effect, Action: 'execute-api:Invoke', Resource: 'arn:aws:execute-api:*:*:abc123/prod/*' },
        ],
      },
      context: { tenantId: 't-1', scopes: 'a b' },
    },
  });

  beforeEach(async () => {
    invoked = [];
    time = 1_000_000;
    answers = { 'fn:auth': () => allow('Allow') };
    const invoke = (arn: string, event: unknown) => {
      invoked.push({ arn, event: event as APIGatewayProxyEvent });
      return Promise.resolve((answers[arn] ?? (() => ok({ arn })))(event as APIGatewayProxyEvent));
    };
    server = createServer(gateway(apiFixture, invoke, () => time));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  function send(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Buffer,
  ): Promise<Answer> {
    const { port } = server.address() as AddressInfo;
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            headerNames: answer.rawHeaders.filter((_text, index) => index % 2 === 0),
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  const events = (arn: string) => invoked.filter((one) => one.arn === arn).map((one) => one.event);

  test('a literal path wins over a variable, a method over ANY, and what is left goes to {proxy+}', async () => {
    expect((await send('GET', '/things/latest')).body).toBe('{"arn":"fn:latest"}');
    expect((await send('GET', '/things/a')).body).toBe('{"arn":"fn:things"}');
    expect((await send('PATCH', '/things')).body).toBe('{"arn":"fn:otherwise"}');
    expect((await send('GET', '/nowhere/at/all')).body).toBe('{"arn":"fn:otherwise"}');
    expect(events('fn:otherwise').at(-1)?.pathParameters).toEqual({ proxy: 'nowhere/at/all' });
  });

  test('path parameters are decoded once; multi-value queries and headers reach the function', async () => {
    await send('GET', '/things/sha256%3Aab?tag=a&tag=b%20c', { 'X-Custom': 'yes' });
    const [event] = events('fn:things');
    expect(event?.resource).toBe('/things/{thingId}');
    expect(event?.pathParameters).toEqual({ thingId: 'sha256:ab' });
    expect(event?.queryStringParameters).toEqual({ tag: 'b c' });
    expect(event?.multiValueQueryStringParameters).toEqual({ tag: ['a', 'b c'] });
    expect(event?.multiValueHeaders['X-Custom']).toEqual(['yes']);
    expect(event?.requestContext.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('a malformed escape in a path fits no resource with variables', async () => {
    expect((await send('GET', '/things/%zz')).status).toBe(403);
  });

  test('without a token the answer is the gateway response UNAUTHORIZED, and no function runs', async () => {
    const answer = await send('GET', '/things');
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.headerNames.filter((name) => /^content-type$/i.test(name))).toHaveLength(1);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(answer.body)).toEqual({
      code: 'UNAUTHENTICATED',
      requestId: answer.headers['x-amzn-requestid'],
    });
    expect((await send('GET', '/things', { authorization: '' })).status).toBe(401);
    expect(invoked).toEqual([]);
  });

  test('the authorizer is asked about the request, its address and headers, before the body is there', async () => {
    await send('POST', '/things?tag=a', { Authorization: 'Basic x' }, Buffer.from('secret'));
    const asked = events('fn:auth')[0] as unknown as APIGatewayRequestAuthorizerEvent;
    expect(asked).toMatchObject({
      type: 'REQUEST',
      methodArn: expect.stringMatching(/^arn:aws:execute-api:.*:abc123\/prod\/POST\/things$/),
      resource: '/things',
      path: '/things',
      httpMethod: 'POST',
      multiValueHeaders: { Authorization: ['Basic x'] },
      queryStringParameters: { tag: 'a' },
      requestContext: { identity: { sourceIp: '127.0.0.1' }, resourcePath: '/things' },
    });
    expect(JSON.stringify(asked)).not.toMatch(/secret|"body"/);
  });

  test("the authorizer's answer is cached by token for as long as configured", async () => {
    for (let count = 0; count < 3; count++) await send('GET', '/things', { authorization: 'Bearer one' });
    await send('POST', '/things', { authorization: 'Bearer one' });
    expect(events('fn:auth')).toHaveLength(1);
    await send('GET', '/things', { authorization: 'Bearer two' });
    expect(events('fn:auth')).toHaveLength(2);
    time += 5_001;
    await send('GET', '/things', { authorization: 'Bearer one' });
    expect(events('fn:auth')).toHaveLength(3);
    expect(events('fn:things')[0]?.requestContext.authorizer).toMatchObject({
      tenantId: 't-1',
      principalId: 'someone',
    });
  });

  test("a Deny is 403, the error 'Unauthorized' 401, another error 500", async () => {
    answers['fn:auth'] = () => allow('Deny');
    const denied = await send('GET', '/things', { authorization: 'Bearer a' });
    expect([denied.status, JSON.parse(denied.body)]).toEqual([
      403,
      { m: 'User is not authorized to access this resource' },
    ]);
    answers['fn:auth'] = () => ({ error: { errorType: 'Error', errorMessage: 'Unauthorized', trace: [] } });
    expect((await send('GET', '/things', { authorization: 'Bearer b' })).status).toBe(401);
    answers['fn:auth'] = () => ({ error: { errorType: 'Error', errorMessage: 'table gone', trace: [] } });
    const failed = await send('GET', '/things', { authorization: 'Bearer c' });
    expect(failed.status).toBe(500);
    expect(failed.body).not.toContain('table gone');
  });

  test('gzip is undone before the function sees it, and other codings are 415', async () => {
    const text = JSON.stringify({ hello: 'wörld' });
    await send(
      'POST',
      '/open',
      { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      gzipSync(text),
    );
    const [event] = events('fn:open');
    expect(event?.body).toBe(text);
    expect(event?.isBase64Encoded).toBe(false);
    expect(event?.headers).not.toHaveProperty('content-encoding');
    const refused = await send('POST', '/open', { 'content-encoding': 'br' }, brotliCompressSync(text));
    expect(refused.status).toBe(415);
  });

  test('a gzip bomb is cut off at 10 MB with 413', async () => {
    const answer = await send(
      'POST',
      '/open',
      { 'content-encoding': 'gzip' },
      gzipSync(Buffer.alloc(64 * 1024 * 1024)),
    );
    expect(answer.status).toBe(413);
    expect(events('fn:open')).toEqual([]);
  });

  test('a body over 10 MB is answered with 413, also while it is still being sent', async () => {
    const answer = await send('POST', '/open', {}, Buffer.alloc(32 * 1024 * 1024, 'x'));
    expect(answer.status).toBe(413);
    expect(events('fn:open')).toEqual([]);
  });

  test('a body that is not what its coding says is 400', async () => {
    expect((await send('POST', '/open', { 'content-encoding': 'gzip' }, Buffer.from('no gzip'))).status).toBe(
      400,
    );
    const cut = gzipSync(Buffer.alloc(100_000, 'x')).subarray(0, 50);
    expect((await send('POST', '/open', { 'content-encoding': 'gzip' }, cut)).status).toBe(400);
    expect(events('fn:open')).toEqual([]);
  });

  test("an event above Lambda's 6 MB is 413", async () => {
    expect((await send('POST', '/open', {}, Buffer.alloc(7 * 1024 * 1024, 'x'))).status).toBe(413);
  });

  test('a body of a binary media type reaches the function in base64', async () => {
    const bytes = Buffer.from([0, 255, 1, 254]);
    await send('POST', '/open', { 'content-type': 'application/octet-stream' }, bytes);
    const [event] = events('fn:open');
    expect([event?.isBase64Encoded, event?.body]).toEqual([true, bytes.toString('base64')]);
  });

  test('a function that fails, or answers what is no proxy result, is 502 without its text', async () => {
    answers['fn:open'] = () => ({ error: { errorType: 'Error', errorMessage: 'secret detail', trace: [] } });
    const failed = await send('POST', '/open');
    expect([failed.status, failed.body.includes('secret')]).toEqual([502, false]);
    answers['fn:open'] = () => ({ value: 'not a proxy result' });
    expect((await send('POST', '/open')).status).toBe(502);
  });

  test('headers, several values and base64 bodies of an answer reach the client', async () => {
    answers['fn:open'] = () => ({
      value: {
        statusCode: 201,
        headers: { Location: '/x' },
        multiValueHeaders: { 'Set-Cookie': ['a=1', 'b=2'] },
        body: Buffer.from('hello').toString('base64'),
        isBase64Encoded: true,
      },
    });
    const answer = await send('POST', '/open');
    expect(answer).toMatchObject({
      status: 201,
      body: 'hello',
      headers: { location: '/x', 'set-cookie': ['a=1', 'b=2'] },
    });
  });

  test('an answer of 5 MB reaches the client whole', async () => {
    const manifest = 'apiVersion: v1 # „ein Zeichen mehr“\n'.repeat(125_000);
    answers['fn:open'] = () => ({
      value: { statusCode: 200, headers: { 'Content-Type': 'application/yaml' }, body: manifest },
    });
    const answer = await send('POST', '/open');
    expect(Buffer.byteLength(answer.body)).toBe(5_000_000);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/yaml']);
    expect(answer.body === manifest).toBe(true);
  });
});
