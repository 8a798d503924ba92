import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import type { ClientHttp2Stream } from 'node:http2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ClusterLink } from '../../../tunnel-fargate/agent/cluster-link.ts';
import { maxRequests } from '../../../tunnel-fargate/agent/inner-connection.ts';
import { TestGuardian } from '../guardian.ts';
import { closing, type Fixture, startTunnel, until } from '../tunnel-fixture.ts';

describe('requests into a cluster', () => {
  let tunnel: Fixture;
  const guardians: TestGuardian[] = [];
  beforeEach(async () => {
    tunnel = await startTunnel();
  });
  afterEach(async () => {
    await Promise.all(guardians.splice(0).map((guardian) => guardian.close()));
    await tunnel.close();
  });

  async function connect(options: Partial<Parameters<typeof TestGuardian.connect>[0]> = {}) {
    const pair = options.pair ?? (await tunnel.register());
    const guardian = await TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots, pair, ...options });
    guardians.push(guardian);
    return guardian;
  }

  test('go through the inner TLS as HTTP/2, all over one connection', async () => {
    const guardian = await connect();
    const link = await tunnel.link();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => get(link, `/api/v1/pods/${index}`)),
    );
    expect(answers.map(({ body }) => body)).toEqual(
      Array.from({ length: 50 }, (_, index) => `hello /api/v1/pods/${index}`),
    );
    expect(guardian.opened).toBe(1);
  });

  test('open a further connection when the peer takes no more streams on the first', async () => {
    const waiting: (() => void)[] = [];
    const guardian = await connect({
      maxConcurrentStreams: 10,
      serve: (stream) => {
        stream.respond({ ':status': 200 });
        waiting.push(() => stream.end('done'));
      },
    });
    const link = await tunnel.link();
    // The peer's limit is known once it has answered.
    const first = await open(link, '/first');
    const others = await Promise.all(Array.from({ length: 24 }, () => open(link, '/held')));
    await until(() => waiting.length === 25);
    expect(guardian.opened).toBe(3);
    for (const finish of waiting) finish();
    await Promise.all([first, ...others].map(drain));
  });

  test('are refused with 429 TOO_MANY_REQUESTS when all connections are full', async () => {
    await connect({ maxConcurrentStreams: 2, serve: (stream) => stream.respond({ ':status': 200 }) });
    const link = await tunnel.link();
    const first = await open(link, '/first');
    const streams = [first];
    for (let index = 1; index < 8; index += 1) streams.push(await open(link, '/held'));
    await expect(link.request({ ':path': '/more' }, { endStream: true })).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
    });
    const gone = closing(first);
    first.close();
    await gone;
    streams.push(await open(link, '/freed'));
    for (const stream of streams) stream.destroy();
  });

  test('are not held up by a connection full of readers that take nothing', async () => {
    const guardian = await connect({
      serve: (stream, headers) => {
        stream.respond({ ':status': 200 });
        stream.end(headers[':path'] === '/large' ? Buffer.alloc(2_000_000) : 'small');
      },
    });
    const link = await tunnel.link();
    const stalled = await Promise.all(
      Array.from({ length: maxRequests - 1 }, async () => {
        const stream = await link.request({ ':path': '/large' }, { endStream: true });
        stream.on('error', () => undefined);
        await new Promise((resolve) => stream.once('response', resolve));
        return stream.pause();
      }),
    );
    // Each has taken what its own window lets in: the neighbours' room is untouched.
    expect((await get(link, '/small')).body).toBe('small');
    const large = await open(link, '/large');
    let size = 0;
    for await (const chunk of large) size += (chunk as Buffer).length;
    expect(size).toBe(2_000_000);
    expect(guardian.opened).toBe(1);
    for (const stream of stalled) stream.destroy();
  });

  test('make a new connection when the old one is dead', async () => {
    let kill: (() => void) | undefined;
    const guardian = await connect({
      serve: (stream) => {
        const { session } = stream;
        kill = () => session?.destroy();
        stream.respond({ ':status': 200 });
        stream.end('hello');
      },
    });
    const link = await tunnel.link();
    await get(link, '/one');
    kill?.();
    await until(() => guardian.opened === 1);
    await eventually(async () => expect((await get(link, '/two')).body).toBe('hello'));
    expect(guardian.opened).toBe(2);
  });

  test('leave a connection that says GOAWAY, and let its running requests end', async () => {
    let finish: (() => void) | undefined;
    const guardian = await connect({
      serve: (stream, headers) => {
        stream.respond({ ':status': 200 });
        if (headers[':path'] !== '/long') return void stream.end('short');
        stream.session?.goaway(0);
        finish = () => stream.end('long');
      },
    });
    const link = await tunnel.link();
    const long = await open(link, '/long');
    await eventually(async () => {
      expect((await get(link, '/short')).body).toBe('short');
      expect(guardian.opened).toBe(2);
    });
    finish?.();
    expect(await drain(long)).toBe('long');
  });

  test('another certificate inside than outside: 502 BAD_GATEWAY, and not a byte is sent', async () => {
    const guardian = await connect({ inside: await tunnel.register() });
    const link = await tunnel.link();
    await expect(link.request({ ':path': '/secret' }, { endStream: true })).rejects.toMatchObject({
      code: 'BAD_GATEWAY',
      message: expect.stringContaining('another certificate') as unknown,
    });
    expect(guardian.opened).toBe(1);
    expect(guardian.requests).toBe(0);
    expect(guardian.session.closed).toBe(false);
  });

  test('a cluster that does not speak TLS on a stream: 502 BAD_GATEWAY, the tunnel lives', async () => {
    const guardian = await connect();
    guardian.session.removeAllListeners('stream');
    guardian.session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    const link = await tunnel.link();
    await expect(link.request({ ':path': '/' }, { endStream: true })).rejects.toMatchObject({
      code: 'BAD_GATEWAY',
    });
    expect(await guardian.session.ping()).toBeGreaterThan(0);
  });

  test('a cluster that is silent on a stream: 504 TIMEOUT', async () => {
    const quick = await startTunnel({ agent: { tunnel: { innerTimeoutMs: 50 } } });
    const guardian = await TestGuardian.connect({
      port: quick.port,
      roots: quick.roots,
      pair: await quick.register(),
    });
    guardian.session.removeAllListeners('stream');
    guardian.session.on('stream', (stream) => stream.on('error', () => undefined));
    const link = await quick.link();
    await expect(link.request({ ':path': '/' }, { endStream: true })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    await guardian.close();
    await quick.close();
  });

  test('end with the tunnel: the running request fails, the next is CLUSTER_NOT_CONNECTED', async () => {
    const guardian = await connect({ serve: (stream) => stream.respond({ ':status': 200 }) });
    const link = await tunnel.link();
    const stream = await open(link, '/watch');
    guardian.socket.destroy();
    await until(() => stream.destroyed);
    await expect(link.request({ ':path': '/' }, { endStream: true })).rejects.toMatchObject({
      code: 'CLUSTER_NOT_CONNECTED',
    });
  });

  test('an aborted request resets its stream with CANCEL, an aborted wait ends', async () => {
    const codes: number[] = [];
    await connect({
      serve: (stream) => {
        stream.respond({ ':status': 200 });
        stream.on('close', () => codes.push(stream.rstCode));
      },
    });
    const link = await tunnel.link();
    const abort = new AbortController();
    const stream = await link.request({ ':path': '/' }, { endStream: true, signal: abort.signal });
    stream.on('error', () => undefined);
    await once(stream, 'response');
    abort.abort();
    await until(() => codes.length === 1);
    expect(codes).toEqual([8]);
    await expect(
      link.request({ ':path': '/' }, { endStream: true, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('a stalled download holds the cluster back after a few windows, and hinders no other request', async () => {
    let written = 0;
    const chunk = Buffer.alloc(65_536, 1);
    await connect({
      serve: (stream, headers) => {
        stream.respond({ ':status': 200 });
        if (headers[':path'] !== '/flood') return void stream.end('hello');
        const write = () => {
          while (!stream.destroyed && written < 256 * 1_048_576) {
            written += chunk.length;
            if (!stream.write(chunk)) break;
          }
        };
        stream.on('drain', write);
        write();
      },
    });
    const link = await tunnel.link();
    const flood = await open(link, '/flood');
    let before = -1;
    await eventually(async () => {
      expect((await get(link, '/other')).body).toBe('hello');
      const still = written === before;
      before = written;
      expect(still).toBe(true);
    });
    // The window of the request, and what the senders' own buffers take.
    expect(written).toBeGreaterThan(250_000);
    expect(written).toBeLessThan(2 * 1_048_576);
    // It goes on when it is read.
    flood.resume();
    await until(() => written > 16 * 1_048_576);
    flood.destroy();
  });

  test('bodies of some megabytes pass whole in both directions', async () => {
    await connect({
      serve: (stream) => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
    });
    const link = await tunnel.link();
    const stream = await link.request({ ':method': 'POST', ':path': '/echo' }, { endStream: false });
    const sent = Buffer.alloc(8 * 1_048_576, 'cattery ');
    stream.end(sent);
    const received: Buffer[] = [];
    stream.on('data', (part: Buffer) => received.push(part));
    await once(stream, 'end');
    expect(Buffer.concat(received).equals(sent)).toBe(true);
  });

  test('the tunnel needs no ALPN and no name outside', async () => {
    const pair = await tunnel.register();
    const socket = connectTls({
      host: '127.0.0.1',
      port: tunnel.port,
      rejectUnauthorized: false,
      cert: pair.certificate,
      key: pair.key,
    });
    await once(socket, 'secureConnect');
    await tunnel.link();
    socket.end();
    await until(() => tunnel.closed().length === 1);
    expect(tunnel.closed()).toEqual(['TRANSPORT_CLOSED']);
  });
});

async function open(link: ClusterLink, path: string): Promise<ClientHttp2Stream> {
  const stream = await link.request({ ':path': path }, { endStream: true });
  stream.on('error', () => undefined);
  await once(stream, 'response');
  return stream;
}

async function drain(stream: ClientHttp2Stream): Promise<string> {
  let body = '';
  stream.setEncoding('utf8');
  stream.on('data', (part: string) => (body += part));
  await once(stream, 'end');
  return body;
}

async function get(link: ClusterLink, path: string): Promise<{ body: string }> {
  return { body: await drain(await open(link, path)) };
}

async function eventually(attempt: () => Promise<void>): Promise<void> {
  const end = Date.now() + 10_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
