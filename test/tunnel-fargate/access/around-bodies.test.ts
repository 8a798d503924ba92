import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  type Access,
  answerOf,
  type Cluster,
  clusterId,
  echo,
  jsonOf,
  open,
  type Serve,
  startCluster,
  startFixture,
  until,
} from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;
const watch = `${pods}?watch=true`;
const statistics = `/clusters/${clusterId}/goldmane.Statistics/List`;

let cluster: Cluster;
let access: Access;
const start = async (serve: Serve, timing = {}) => {
  cluster = await startCluster(serve);
  access = await startFixture(cluster, { timing });
};
afterEach(async () => {
  await access.close();
  await cluster.close();
});

const h1 = (
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
) => {
  const request = httpsRequest({
    host: '127.0.0.1',
    port: access.port,
    path,
    method,
    ca: access.ca.certificate,
    headers: { authorization: 'Bearer editor', ...headers },
    agent: false,
  });
  request.on('error', () => undefined);
  return request;
};
const elapsed = async (ms: number) => {
  const since = Date.now();
  await until(() => Date.now() - since > ms);
};

describe('informational answers of a cluster', () => {
  const hints: Serve = (stream) => {
    stream.additionalHeaders({ ':status': 102 });
    stream.additionalHeaders({ ':status': 103, link: '</a>; rel=preload', 'set-cookie': 'a=b' });
    stream.respond({ ':status': 200 });
    stream.end('x');
  };

  test('pass over HTTP/2', async () => {
    await start(hints);
    const stream = open(access.session(), pods);
    const told: IncomingHttpHeaders[] = [];
    stream.on('headers', (headers: IncomingHttpHeaders) => void told.push(headers));
    expect((await answerOf(stream)).status).toBe(200);
    expect(told.map((headers) => headers[':status'])).toEqual([102, 103]);
    expect(told[1]).toMatchObject({ link: '</a>; rel=preload' });
    expect(told[1]).not.toHaveProperty('set-cookie');
  });

  test('pass over HTTP/1.1', async () => {
    await start(hints);
    const request = h1(pods);
    const told: number[] = [];
    request.on('information', ({ statusCode }) => void told.push(statusCode));
    const [response] = (await once(request.end(), 'response')) as [IncomingMessage];
    response.resume();
    expect([told, response.statusCode]).toEqual([[102, 103], 200]);
  });

  test('without end are not all passed on, and the answer time goes on', async () => {
    let sending: NodeJS.Timeout | undefined;
    await start(
      (stream) => {
        sending = setInterval(() => {
          if (stream.destroyed) clearInterval(sending);
          else for (let at = 0; at < 50; at += 1) stream.additionalHeaders({ ':status': 102 });
        }, 5);
      },
      { answerTimeoutMs: 100 },
    );
    const stream = open(access.session(), pods);
    let told = 0;
    stream.on('headers', () => (told += 1));
    expect((await answerOf(stream)).status).toBe(504);
    expect(told).toBe(64);
  });

  test.each(['h1', 'h2'])(
    'say when the body is wanted (100): not before the cluster wants it, over %s',
    async (way) => {
      let inner: ServerHttp2Stream | undefined;
      cluster = await startCluster((stream) => (inner = stream));
      access = await startFixture(cluster);
      let continued = false;
      const headers = { expect: '100-continue' };
      const request =
        way === 'h1'
          ? h1(pods, { method: 'POST', headers: { ...headers, 'content-length': '4' } })
          : open(access.session(), pods, { ':method': 'POST', ...headers });
      request.once('continue', () => (continued = true));
      if ('flushHeaders' in request) request.flushHeaders();
      await until(() => inner !== undefined);
      expect(cluster.seen.at(-1)).toMatchObject({ expect: '100-continue' });
      await elapsed(30);
      expect(continued).toBe(false);
      inner?.additionalHeaders({ ':status': 100 });
      await until(() => continued);
      request.end('body');
      if (!inner) throw new Error('nothing arrived');
      const [chunk] = (await once(inner, 'data')) as [Buffer];
      expect(String(chunk)).toBe('body');
      inner.respond({ ':status': 204 }, { endStream: true });
      await once(request, 'response');
    },
  );

  test('are not needed where we refuse: the body is never asked for', async () => {
    await start(echo);
    const request = h1(pods, {
      method: 'POST',
      headers: { authorization: 'Bearer viewer', expect: '100-continue', 'content-length': '4' },
    });
    let continued = false;
    request.once('continue', () => (continued = true));
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect([response.statusCode, continued]).toEqual([403, false]);
    request.destroy();
  });
});

describe('trailers of a request', () => {
  const seeTrailers = () => {
    const seen: IncomingHttpHeaders[] = [];
    const serve: Serve = (stream) => {
      stream.on('trailers', (trailers: IncomingHttpHeaders) => void seen.push(trailers));
      echo(stream, {});
    };
    return { seen, serve };
  };

  test('reach the cluster over HTTP/2, those for us left out', async () => {
    const { seen, serve } = seeTrailers();
    await start(serve);
    const stream = access
      .session()
      .request(
        { ':path': pods, ':method': 'POST', authorization: 'Bearer editor', trailer: 'X-Sum' },
        { waitForTrailers: true },
      );
    stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1', 'impersonate-user': 'root' }));
    stream.end('body');
    expect(jsonOf(await answerOf(stream)).body).toBe('body');
    expect(seen).toEqual([expect.objectContaining({ 'x-sum': '1' })]);
    expect(seen[0]).not.toHaveProperty('impersonate-user');
    expect(cluster.seen.at(-1)).toMatchObject({ trailer: 'x-sum' });
  });

  test('reach the cluster over HTTP/1.1', async () => {
    const { seen, serve } = seeTrailers();
    await start(serve);
    const request = h1(pods, {
      method: 'POST',
      headers: { trailer: 'X-Sum', 'transfer-encoding': 'chunked' },
    });
    request.addTrailers({ 'X-Sum': '2', Authorization: 'Bearer other' });
    request.end('body');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    expect(seen).toEqual([expect.objectContaining({ 'x-sum': '2' })]);
    expect(seen[0]).not.toHaveProperty('authorization');
  });
});

describe('gRPC', () => {
  const call = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
  /** Five bytes, then the message. */
  const message = (text: string) =>
    Buffer.concat([Buffer.from([0, 0, 0, 0, text.length]), Buffer.from(text)]);

  test('calls of the statistics stream both ways and end with their trailers', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine' }));
      stream.on('data', (bytes: Buffer) => stream.write(bytes));
      stream.on('end', () => stream.end());
    });
    const stream = open(access.session(), statistics, { ...call, authorization: 'Bearer viewer' });
    const trailers = once(stream, 'trailers');
    for (const text of ['one', 'two']) {
      stream.write(message(text));
      expect(((await once(stream, 'data')) as [Buffer])[0]).toEqual(message(text));
    }
    stream.end();
    expect((await trailers)[0]).toMatchObject({ 'grpc-status': '0', 'grpc-message': 'fine' });
    expect(cluster.seen[0]).toMatchObject({
      ':path': '/goldmane.Statistics/List',
      ':method': 'POST',
      te: 'trailers',
      'content-type': 'application/grpc',
    });
  });

  /** A head that ends the stream, or not. */
  const headOf = async (headers: Record<string, string>, path = statistics) => {
    const stream = open(access.session(), path, { ...call, ...headers });
    stream.end(message('x'));
    const [head, flags] = (await once(stream, 'response')) as [IncomingHttpHeaders, number];
    stream.resume();
    return { head, ends: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0 };
  };

  test('a status without an answer stays in a head that ends the stream', async () => {
    await start((stream) => {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
        { endStream: true },
      );
    });
    const { head, ends } = await headOf({});
    expect([head['grpc-status'], ends]).toEqual(['12', true]);
  });

  test.each([
    ['without a credential', { authorization: '' }, statistics, '16', 'UNAUTHENTICATED'],
    ['by a member, who has no rule', { authorization: 'Bearer member' }, statistics, '7', 'ACCESS_DENIED'],
    ['of another cluster', {}, statistics.replace('c-aaa', 'c-bbb'), '5', 'NOT_FOUND'],
    ['of another service', {}, statistics.replace('Statistics', 'Flows'), '5', 'NOT_FOUND'],
    ['by another method', { ':method': 'PUT' }, statistics, '12', 'METHOD_NOT_ALLOWED'],
  ])('calls %s fail with a status that gRPC knows', async (_what, headers, path, status, code) => {
    await start(echo);
    const { head, ends } = await headOf(headers, path);
    expect([head[':status'], head['content-type'], head['grpc-status'], ends]).toEqual([
      200,
      'application/grpc',
      status,
      true,
    ]);
    expect(decodeURIComponent(String(head['grpc-message']))).toContain(code);
    expect(cluster.seen).toEqual([]);
  });

  test('calls of a cluster that is away fail with UNAVAILABLE', async () => {
    await start(echo);
    access.route = { kind: 'absent', since: undefined };
    expect((await headOf({})).head['grpc-status']).toBe('14');
  });

  test('what is not gRPC is refused in HTTP: 415, and 400 over HTTP/1.1', async () => {
    await start(echo);
    const answer = await access.h2(statistics, { method: 'POST', body: '{}' });
    expect([answer.status, jsonOf(answer).code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    const old = await access.h1(statistics, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc' },
      body: 'x',
    });
    expect([old.status, jsonOf(old).code]).toEqual([400, 'INVALID_REQUEST']);
  });
});

describe('a body that stands still', () => {
  const timing = { requestSilenceMs: 100, answerSilenceMs: 100, stalledMs: 200 };

  test.each(['h1', 'h2'])(
    'in the client is 408 REQUEST_TIMEOUT, and the cluster is told to stop, over %s',
    async (way) => {
      let code: number | undefined;
      await start((stream) => void stream.resume().once('close', () => (code = stream.rstCode)), timing);
      const request =
        way === 'h1'
          ? h1(pods, { method: 'POST', headers: { 'content-length': '100' } })
          : open(access.session(), pods, { ':method': 'POST' });
      request.write('half');
      const [answer] = (await once(request, 'response')) as [{ statusCode?: number; ':status'?: number }];
      expect(answer.statusCode ?? answer[':status']).toBe(408);
      await until(() => code === constants.NGHTTP2_CANCEL);
      request.destroy();
    },
  );

  test('in the client is not what trickles', async () => {
    await start(echo, timing);
    const stream = open(access.session(), pods, { ':method': 'POST' });
    for (let at = 0; at < 8; at += 1) {
      stream.write('x');
      await elapsed(40);
    }
    stream.end();
    expect(jsonOf(await answerOf(stream)).body).toBe('xxxxxxxx');
  });

  test.each(['h1', 'h2'])(
    'in the cluster is cut, so that it does not look complete, over %s',
    async (way) => {
      await start((stream) => {
        stream.respond({ ':status': 200 });
        stream.write('part');
      }, timing);
      if (way === 'h1') {
        const [response] = (await once(h1(pods).end(), 'response')) as [IncomingMessage];
        response.resume();
        await once(response, 'error');
        expect(response.complete).toBe(false);
      } else {
        const stream = open(access.session(), pods);
        stream.resume();
        await new Promise((resolve) => stream.once('close', resolve));
        expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
      }
    },
  );

  test('because the client does not read is cut, and the cluster is told to stop', async () => {
    let code: number | undefined;
    await start((stream) => {
      stream.once('close', () => (code = stream.rstCode));
      stream.respond({ ':status': 200 });
      stream.end(Buffer.alloc(8_000_000));
    }, timing);
    const stream = open(access.session(), pods);
    await once(stream, 'response');
    stream.pause();
    await until(() => code !== undefined);
    expect(code).toBe(constants.NGHTTP2_CANCEL);
  });

  test.each([
    ['a watch', watch],
    ['a followed log', `/clusters/${clusterId}/api/v1/namespaces/default/pods/one/log?follow=true`],
  ])('does so rightly in %s', async (_what, path) => {
    let inner: ServerHttp2Stream | undefined;
    await start((stream) => {
      inner = stream;
      stream.respond({ ':status': 200 });
      stream.write('part');
    }, timing);
    const stream = open(access.session(), path);
    await once(stream, 'data');
    await elapsed(400);
    inner?.write('more');
    expect(String((await once(stream, 'data'))[0])).toBe('more');
    stream.close(constants.NGHTTP2_CANCEL);
  });
});

test('an HTTP/1.0 client is told nothing before its answer', async () => {
  await start((stream) => {
    stream.additionalHeaders({ ':status': 102 });
    stream.respond({ ':status': 200 });
    stream.end('x');
  });
  const socket = connectTls({
    host: '127.0.0.1',
    port: access.port,
    ca: access.ca.certificate,
    ALPNProtocols: ['http/1.1'],
  });
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  socket.write(`GET ${pods} HTTP/1.0\r\nAuthorization: Bearer editor\r\n\r\n`);
  await once(socket, 'close');
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
});
