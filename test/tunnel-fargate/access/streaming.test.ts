import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { addAbortSignal } from 'node:stream';
import { Agent, request as httpsRequest } from 'node:https';
import { type ClientRequest, IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  type Access,
  answerOf,
  type Cluster,
  clusterId,
  jsonOf,
  open,
  type Serve,
  startCluster,
  startFixture,
  until,
} from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;
const watch = `${pods}?watch=true`;
const logs = `/clusters/${clusterId}/api/v1/namespaces/default/pods/one/log?follow=true`;

let cluster: Cluster;
let access: Access;
const start = async (serve: Serve, timing = {}) => {
  cluster = await startCluster(serve);
  access = await startFixture(cluster, { timing });
};
/** Clients over HTTP/1.1: one that nobody reads to its end would stay when its server has gone. */
const clients = new Set<ClientRequest>();
afterEach(async () => {
  await access.close();
  await cluster.close();
  for (const client of clients) client.on('error', () => undefined).destroy();
  clients.clear();
});

/** `once` would reject with the error that goes before. */
const closed = (stream: NodeJS.EventEmitter) => new Promise((resolve) => stream.once('close', resolve));

const h1Get = (path: string, agent: Agent | false = false): ClientRequest => {
  const request = httpsRequest({
    host: '127.0.0.1',
    port: access.port,
    path,
    ca: access.ca.certificate,
    headers: { authorization: 'Bearer viewer' },
    agent,
  });
  clients.add(request);
  return request;
};

describe('a watch', () => {
  test.each(['h1', 'h2'])('is passed on event by event, its head at once, over %s', async (way) => {
    let inner: ServerHttp2Stream | undefined;
    await start((stream) => {
      inner = stream;
      stream.respond({ ':status': 200, 'content-type': 'application/json' });
    });
    let stream: NodeJS.ReadableStream;
    if (way === 'h1') {
      const request = h1Get(watch).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      stream = response;
    } else {
      const opened = open(access.session(), watch);
      await once(opened, 'response');
      stream = opened;
    }
    for (const event of ['{"type":"ADDED"}\n', '{"type":"MODIFIED"}\n']) {
      inner?.write(event);
      expect(String((await once(stream, 'data'))[0])).toBe(event);
    }
    inner?.end();
    stream.resume();
    await once(stream, 'end');
  });

  test('is never ended by us: it outlives every time limit that we have', async () => {
    let inner: ServerHttp2Stream | undefined;
    const limit = 40;
    await start(
      (stream) => {
        inner = stream;
        setTimeout(() => stream.respond({ ':status': 200 }), limit * 3);
      },
      {
        answerTimeoutMs: limit,
        headersTimeoutMs: limit,
        firstRequestMs: limit,
        idleMs: limit,
        pingIntervalMs: 10,
      },
    );
    const two = open(access.session(), watch);
    const one = h1Get(watch).end();
    const [[response]] = (await Promise.all([once(one, 'response'), once(two, 'response')])) as [
      [IncomingMessage],
      unknown,
    ];
    const before = Date.now();
    await until(() => Date.now() - before > limit * 5);
    expect([response.readableEnded, two.closed]).toEqual([false, false]);
    inner?.write('still here');
    await Promise.race([once(response, 'data'), once(two, 'data')]);
    one.destroy();
    two.close();
  });

  test.each(['h1', 'h2'])('that its client leaves is cancelled in the cluster, over %s', async (way) => {
    let code: number | undefined;
    await start((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('x');
      stream.once('close', () => (code = stream.rstCode));
    });
    if (way === 'h1') {
      const request = h1Get(watch).end();
      request.on('error', () => undefined);
      await once(request, 'response');
      request.destroy();
    } else {
      const stream = open(access.session(), watch);
      await once(stream, 'response');
      stream.close(constants.NGHTTP2_CANCEL);
    }
    await until(() => code !== undefined);
    expect(code).toBe(constants.NGHTTP2_CANCEL);
    await until(() => access.logged.some((entry) => entry.ended === 'ClientGone'));
  });

  test('that the cluster breaks off is reset, not ended, so that it does not look complete', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('{"type":"ADD');
      setImmediate(() => stream.destroy(new Error('broken off')));
    });
    const stream = open(access.session(), watch);
    stream.resume();
    let ended = false;
    stream.once('end', () => (ended = true));
    await closed(stream);
    expect([ended, stream.rstCode]).toEqual([false, constants.NGHTTP2_INTERNAL_ERROR]);

    const request = h1Get(watch).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    const [error] = (await once(response, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
    expect(response.complete).toBe(false);
  });
});

describe('backpressure', () => {
  const chunk = Buffer.alloc(64 * 1024);

  test.each(['h1', 'h2'])(
    'a client that does not read bounds what the cluster can send, over %s',
    async (way) => {
      let sent = 0;
      const state = { blocked: false };
      await start((stream) => {
        stream.respond({ ':status': 200 });
        const push = () => {
          state.blocked = false;
          while (!stream.destroyed) {
            sent += chunk.length;
            if (!stream.write(chunk)) break;
          }
          state.blocked = true;
        };
        stream.on('drain', push);
        push();
      });
      if (way === 'h1') {
        const request = h1Get(pods).end();
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        response.pause();
      } else {
        const stream = open(access.session(), pods);
        await once(stream, 'response');
        stream.pause();
      }
      // Nothing more is taken once the windows and socket buffers between are full.
      let last = -1;
      while (!state.blocked || sent !== last) {
        last = sent;
        const since = Date.now();
        await until(() => Date.now() - since > 150);
      }
      expect(sent).toBeLessThan(24 * 1024 * 1024);
      expect(sent).toBeGreaterThan(0);
    },
  );

  test('a cluster that does not read bounds what a client can send', async () => {
    await start((stream) => {
      stream.pause();
    });
    const stream = open(access.session(), pods, { ':method': 'POST' });
    let sent = 0;
    const push = () => {
      while (stream.write(chunk) && sent < 64 * 1024 * 1024) sent += chunk.length;
    };
    stream.on('drain', push);
    push();
    let last = -1;
    while (sent !== last) {
      last = sent;
      const since = Date.now();
      await until(() => Date.now() - since > 150);
    }
    expect(sent).toBeLessThan(8 * 1024 * 1024);
    stream.close(constants.NGHTTP2_CANCEL);
  });

  test('30 MB arrive as they were sent, both ways', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const stream = open(access.session(), pods, { ':method': 'POST' });
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    stream.on('data', (data: Buffer) => received.update(data));
    for (let at = 0; at < 480; at += 1) {
      const next = Buffer.alloc(chunk.length, at);
      sent.update(next);
      if (!stream.write(next)) await once(stream, 'drain');
    }
    stream.end();
    await once(stream, 'end');
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });
});

describe('an answer', () => {
  test('brings its trailers, over both protocols', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end('x');
    });
    const stream = open(access.session(), pods);
    const trailers = once(stream, 'trailers');
    await answerOf(stream);
    expect((await trailers)[0]).toMatchObject({ 'grpc-status': '0' });

    const [response] = (await once(h1Get(pods).end(), 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    expect(response.trailers).toEqual({ 'grpc-status': '0' });
  });

  test('without a body stays without one: HEAD, 204, 304', async () => {
    await start((stream, headers) => {
      stream.respond(
        { ':status': Number(headers['x-status']), 'x-seen': headers[':method'] ?? '' },
        { endStream: true },
      );
    });
    for (const way of ['h1', 'h2'] as const) {
      for (const status of ['200', '204', '304']) {
        const answer = await access[way](pods, { method: 'HEAD', headers: { 'x-status': status } });
        expect([answer.status, answer.text, answer.headers['x-seen']]).toEqual([Number(status), '', 'HEAD']);
        expect((await access[way](pods, { headers: { 'x-status': status } })).status).toBe(Number(status));
      }
    }
  });

  test('that does not come is 504 TIMEOUT, and the cluster is told to stop', async () => {
    let code: number | undefined;
    await start((stream) => void stream.once('close', () => (code = stream.rstCode)), {
      answerTimeoutMs: 30,
    });
    const answer = await access.h2(pods);
    expect([answer.status, jsonOf(answer).code]).toEqual([504, 'TIMEOUT']);
    await until(() => code === constants.NGHTTP2_CANCEL);
  });

  test('that breaks off before it began is 502 BAD_GATEWAY; what only reads is asked for once more before', async () => {
    let [asked, cuts] = [0, Infinity];
    await start((stream) => {
      asked += 1;
      if (asked <= cuts) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      else stream.respond({ ':status': 200 }, { endStream: true });
    });
    expect(jsonOf(await access.h2(pods)).code).toBe('BAD_GATEWAY');
    expect(asked).toBe(2);
    [asked, cuts] = [0, 1];
    expect((await access.h2(pods)).status).toBe(200);
    // The cluster may have acted on these.
    for (const given of [{ method: 'DELETE' }, { method: 'POST', body: '{}' }]) {
      asked = 0;
      expect([given, (await access.h2(pods, given)).status, asked]).toEqual([given, 502, 1]);
    }
  });

  test.each(['h1', 'h2'])(
    'cut with CANCEL by the cluster does not look complete either, over %s',
    async (way) => {
      await start((stream) => {
        stream.respond({ ':status': 200 });
        stream.write('part', () => {
          const cut = new AbortController();
          addAbortSignal(cut.signal, stream);
          cut.abort();
        });
      });
      if (way === 'h1') {
        const [response] = (await once(h1Get(pods).end(), 'response')) as [IncomingMessage];
        response.resume();
        await once(response, 'error');
        expect(response.complete).toBe(false);
      } else {
        const stream = open(access.session(), pods);
        stream.resume();
        await closed(stream);
        expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
      }
    },
  );

  test('that is refused unread is asked for once more, unless a body went with it', async () => {
    let refusals = 1;
    await start((stream) => {
      if (refusals-- > 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else stream.respond({ ':status': 200 }, { endStream: true });
    });
    expect((await access.h2(pods)).status).toBe(200);
    refusals = 2;
    expect(jsonOf(await access.h2(pods)).code).toBe('BAD_GATEWAY');
    refusals = 1;
    expect((await access.h2(pods, { method: 'POST', body: '{}' })).status).toBe(502);
  });

  test('may come before the cluster has read the whole body', async () => {
    await start((stream) => {
      stream.respond({ ':status': 413 });
      stream.end('too large');
    });
    for (const way of ['h1', 'h2'] as const) {
      const answer = await access[way](pods, { method: 'POST', body: 'x'.repeat(3_000_000) });
      expect([answer.status, answer.text]).toEqual([413, 'too large']);
    }
  });

  test("401 of the cluster's API server is 502: it is not about the user's credential", async () => {
    await start((stream) =>
      stream.respond({ ':status': 401, 'www-authenticate': 'Bearer' }, { endStream: true }),
    );
    const answer = await access.h2(pods);
    expect([answer.status, jsonOf(answer).code]).toEqual([502, 'BAD_GATEWAY']);
  });

  test('that redirects stays under its cluster, and elsewhere is 502', async () => {
    await start((stream, headers) => {
      const location = headers['x-to'];
      stream.respond(
        { ':status': 301, location: String(location), 'set-cookie': 'a=b' },
        { endStream: true },
      );
    });
    const inside = await access.h2(pods, { headers: { 'x-to': '/apis/' } });
    expect([inside.status, inside.headers.location]).toEqual([301, `/clusters/${clusterId}/apis/`]);
    expect(inside.headers).not.toHaveProperty('set-cookie');
    expect((await access.h2(pods, { headers: { 'x-to': 'https://elsewhere.example/' } })).status).toBe(502);
  });
});

describe('draining', () => {
  test('accepts nothing more, lets a running answer end, and then is done', async () => {
    let inner: ServerHttp2Stream | undefined;
    await start((stream) => {
      inner = stream;
      stream.respond({ ':status': 200 });
    });
    const session = access.session();
    const stream = open(session, pods);
    await once(stream, 'response');
    const goaway = once(session, 'goaway');
    const drained = access.server.drain(20_000);
    await goaway;
    await expect(access.h1(pods)).rejects.toThrow(/ECONNREFUSED/);
    inner?.end('whole');
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(String(Buffer.concat(chunks))).toBe('whole');
    await drained;
  });

  test('tells an HTTP/1.1 client that this was the last answer', async () => {
    let inner: ServerHttp2Stream | undefined;
    await start((stream) => (inner = stream));
    const answer = access.h1(pods);
    await until(() => inner !== undefined);
    const drained = access.server.drain(20_000);
    inner?.respond({ ':status': 200 });
    inner?.end('x');
    expect((await answer).headers.connection).toBe('close');
    await drained;
  });

  test('is cut short by a close while it waits', async () => {
    await start((stream) => stream.respond({ ':status': 200 }));
    const stream = open(access.session(), pods);
    await once(stream, 'response');
    const drained = access.server.drain(20_000);
    await access.server.close();
    await drained;
  });

  test.each([
    ['watches', 'h1', watch],
    ['watches', 'h2', watch],
    ['followed logs', 'h1', logs],
    ['followed logs', 'h2', logs],
  ])(
    'ends %s in order long before the deadline, and the connection with them, over %s',
    async (_what, way, path) => {
      let code: number | undefined;
      await start(
        (stream) => {
          stream.respond({ ':status': 200 });
          stream.write('part');
          stream.once('close', () => (code = stream.rstCode));
        },
        { endlessDrainMs: 20 },
      );
      const chunks: Buffer[] = [];
      // A client that would use its connection again.
      const agent = new Agent({ keepAlive: true });
      const stream =
        way === 'h2'
          ? open(access.session(), path)
          : await once(h1Get(path, agent).end(), 'response').then(
              ([response]) => response as IncomingMessage,
            );
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      await until(() => chunks.length === 1);
      // Later than the test may take.
      const drained = access.server.drain(100_000);
      await once(stream, 'end');
      if (stream instanceof IncomingMessage) expect(stream.complete).toBe(true);
      else expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
      await drained;
      expect(String(Buffer.concat(chunks))).toBe('part');
      await until(() => code !== undefined);
      expect(code).toBe(constants.NGHTTP2_CANCEL);
      agent.destroy();
    },
  );

  test('waits for an answer that ends by itself while it ends watches, also those that have no head yet', async () => {
    let download: ServerHttp2Stream | undefined;
    await start(
      (stream, headers) => {
        if (headers[':path']?.includes('watch')) return;
        download = stream;
        stream.respond({ ':status': 200 });
        stream.write('first ');
      },
      { endlessDrainMs: 20 },
    );
    const session = access.session();
    const [reading, watching] = [open(session, pods), open(session, watch)];
    const chunks: Buffer[] = [];
    reading.on('data', (chunk: Buffer) => chunks.push(chunk));
    await until(() => chunks.length === 1 && cluster.seen.length === 2);
    const drained = access.server.drain(100_000);
    await closed(watching);
    expect([watching.rstCode, reading.closed]).toEqual([constants.NGHTTP2_INTERNAL_ERROR, false]);
    download?.end('last');
    await Promise.all([once(reading, 'end'), drained]);
    expect(String(Buffer.concat(chunks))).toBe('first last');
  });

  test('cuts a watch whose client does not read what was sent', async () => {
    await start(
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.end(Buffer.alloc(4_000_000));
      },
      { endlessDrainMs: 20 },
    );
    const stream = open(access.session(), watch);
    await once(stream, 'response');
    await Promise.all([access.server.drain(100_000), closed(stream)]);
    expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
  });

  test('at the deadline ends watches, and cuts what would only look complete', async () => {
    await start((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('part');
    });
    const session = access.session();
    const [watching, reading] = [open(session, watch), open(session, pods)];
    const ended = { watching: false, reading: false };
    watching.on('end', () => (ended.watching = true)).resume();
    reading.on('end', () => (ended.reading = true)).resume();
    await Promise.all([once(watching, 'data'), once(reading, 'data')]);
    await Promise.all([access.server.drain(30), closed(reading), closed(watching)]);
    expect(ended).toEqual({ watching: true, reading: false });
  });
});
