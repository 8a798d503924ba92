import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { clusterId, jsonOf, until } from './access-fixture.ts';
import {
  echoServer,
  exec,
  headOf,
  noise,
  portForward,
  type ServeUpgrade,
  startUpgraded,
  switchTo,
  type Upgraded,
} from './upgrade-fixture.ts';

let fixture: Upgraded;
const start = async (serve: ServeUpgrade, options: Parameters<typeof startUpgraded>[1] = {}) => {
  fixture = await startUpgraded(serve, options);
  return fixture;
};
afterEach(() => fixture.close());

const closed = (stream: NodeJS.EventEmitter & { destroyed?: boolean }) =>
  stream.destroyed === true
    ? Promise.resolve()
    : new Promise<void>((resolve) => stream.once('close', () => resolve()));
/** Streams of the tunnel beyond the inner HTTP/2 connection. */
const settled = () => until(() => fixture.guardian.session.streamCount <= 1);

/** What a refused WebSocket is answered. */
async function refusal(
  socket: WebSocket,
): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    import('node:http').IncomingMessage,
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    text: Buffer.concat(chunks).toString(),
    headers: response.headers,
  };
}

describe('a WebSocket into a cluster', () => {
  test('carries messages both ways, and its end ends the stream', async () => {
    await start(echoServer());
    const socket = fixture.socket();
    await once(socket, 'open');
    for (const message of ['ls', 'x'.repeat(100_000)]) {
      socket.send(message);
      expect(String((await once(socket, 'message'))[0])).toBe(message);
    }
    socket.close(1000, 'done');
    expect((await once(socket, 'close'))[0]).toBe(1000);
    await settled();
    await until(() => fixture.access.logged.some(({ status }) => status === 101));
  });

  test.each([
    ['exec', exec, ['v5.channel.k8s.io', 'v4.channel.k8s.io'], 'v5.channel.k8s.io'],
    ['port-forward', portForward, ['SPDY/3.1+portforward.k8s.io'], 'SPDY/3.1+portforward.k8s.io'],
  ])('agrees on the sub-protocol with the cluster: %s', async (_what, path, offered, chosen) => {
    await start((_request, socket) =>
      switchTo(() => undefined, ['Upgrade: websocket', `Sec-WebSocket-Protocol: ${chosen}`])(
        _request,
        socket,
        0,
      ),
    );
    const socket = await fixture.raw({ path, headers: [`Sec-WebSocket-Protocol: ${offered.join(', ')}`] });
    expect(await headOf(socket)).toContain(`sec-websocket-protocol: ${chosen}`);
    expect(fixture.seen[0]?.headers['sec-websocket-protocol']).toBe(offered.join(', '));
    socket.destroy();
  });

  test('says to the cluster what it is about and nothing that is for us', async () => {
    await start(echoServer());
    const socket = fixture.socket(exec, {
      protocols: ['v5.channel.k8s.io', 'base64url.bearer.authorization.k8s.io.c2VjcmV0'],
      headers: { 'impersonate-user': 'root', cookie: 'a=b', 'x-mine': '1' },
    });
    await once(socket, 'open');
    const [request] = fixture.seen;
    expect(request?.url).toBe('/api/v1/namespaces/default/pods/one/exec?command=sh');
    expect(request?.headers).toMatchObject({
      host: 'kubernetes.default.svc',
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-protocol': 'v5.channel.k8s.io',
      'sec-websocket-version': '13',
      'x-mine': '1',
    });
    expect(Object.keys(request?.headers ?? {})).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(?:authorization|impersonate-user|cookie)$/)]),
    );
    expect(JSON.stringify(request?.rawHeaders)).not.toContain('c2VjcmV0');
    socket.terminate();
  });

  test('brings what the client sends before the answer and what the cluster sends with it', async () => {
    await start((_request, socket) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nwith it',
      );
      socket.once('data', (bytes: Buffer) => socket.end(`, you said ${bytes.toString()}`));
    });
    const socket = await fixture.raw();
    socket.write('early');
    await headOf(socket);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('with it, you said early');
  });

  test('passes 16 MiB up and down at once, as they were sent', async () => {
    await start(switchTo((socket) => socket.pipe(socket)));
    const socket = await fixture.raw();
    await headOf(socket);
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    let size = 0;
    const total = 256 * 64 * 1024;
    socket.on('data', (bytes: Buffer) => {
      received.update(bytes);
      size += bytes.length;
    });
    for (const chunk of noise(256)) {
      sent.update(chunk);
      if (!socket.write(chunk)) await once(socket, 'drain');
    }
    await until(() => size === total);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    socket.destroy();
  });

  test.each(['client', 'cluster'])(
    'a %s that does not read bounds what the other can send',
    async (reader) => {
      const inner: Duplex[] = [];
      await start(switchTo((socket) => void inner.push(socket)));
      const client = await fixture.raw();
      await headOf(client);
      const writer = reader === 'client' ? inner[0] : client;
      if (!writer) throw new Error('nothing arrived');
      let sent = 0;
      const push = () => {
        do sent += 65_536;
        while (writer.write(Buffer.alloc(65_536)) && sent < 64 * 1024 * 1024);
      };
      writer.on('drain', push);
      push();
      let last = -1;
      while (sent !== last) {
        last = sent;
        const since = Date.now();
        await until(() => Date.now() - since > 150);
      }
      expect(sent).toBeGreaterThan(0);
      expect(sent).toBeLessThan(32 * 1024 * 1024);
      client.destroy();
      // Whoever reads on finds the end.
      inner[0]?.resume().once('end', () => inner[0]?.end());
      await settled();
    },
  );

  test('works 100 times of 100, each over a stream of its own', async () => {
    await start(echoServer());
    const opened = fixture.guardian.opened;
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const socket = fixture.socket();
          await once(socket, 'open');
          const message = randomBytes(512);
          socket.send(message);
          expect(message.equals((await once(socket, 'message'))[0] as Buffer)).toBe(true);
          socket.close();
          await once(socket, 'close');
        }),
      );
    }
    // One more carries the question whether the cluster grants this.
    expect(fixture.guardian.opened - opened).toBeLessThanOrEqual(101);
    expect(fixture.seen).toHaveLength(100);
    await settled();
  });

  test('is offered for watches, too', async () => {
    await start(switchTo((socket) => socket.write('{"type":"ADDED"}')));
    const socket = await fixture.raw({ path: `/clusters/${clusterId}/api/v1/pods?watch=true` });
    expect(await headOf(socket)).toMatch(/^HTTP\/1\.1 101 /);
    socket.destroy();
  });
});

describe('the end of an upgraded connection', () => {
  test('by a client that vanishes reaches the cluster, and nothing stays open', async () => {
    const inner: Duplex[] = [];
    await start(switchTo((socket) => void inner.push(socket.resume().once('end', () => socket.end()))));
    const socket = await fixture.raw();
    await headOf(socket);
    socket.destroy();
    await closed(inner[0] ?? socket);
    await settled();
  });

  test('by a cluster that breaks off reaches the client', async () => {
    const inner: Duplex[] = [];
    await start(switchTo((socket) => void inner.push(socket)));
    const socket = await fixture.raw();
    await headOf(socket);
    inner[0]?.destroy();
    await closed(socket.resume());
    await settled();
  });

  test('by a cluster that ends in order brings what it sent last', async () => {
    await start(switchTo((socket) => socket.end(Buffer.alloc(300_000, 'x'))));
    const socket = await fixture.raw();
    await headOf(socket);
    let size = 0;
    for await (const chunk of socket) size += (chunk as Buffer).length;
    expect(size).toBe(300_000);
    await settled();
  });

  test('comes with the end of the tunnel', async () => {
    await start(switchTo(() => undefined));
    const socket = await fixture.raw();
    await headOf(socket);
    await fixture.guardian.close();
    await closed(socket.resume());
  });

  test('comes in order in a drain, long before its deadline', async () => {
    await start(
      switchTo((socket) => void socket.resume().once('end', () => socket.end())),
      { timing: { endlessDrainMs: 20 } },
    );
    const socket = await fixture.raw();
    await headOf(socket);
    socket.resume();
    const ended = once(socket, 'end');
    await fixture.access.server.drain(100_000);
    await ended;
    await settled();
  });
});

describe('an upgrade that the cluster refuses', () => {
  test.each([400, 403, 404, 500])('is answered with its status and body: %d', async (status) => {
    const body = JSON.stringify({ kind: 'Status', code: status });
    await start((_request, socket) => {
      socket
        .resume()
        .end(
          `HTTP/1.1 ${status} No\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
    });
    const answer = await refusal(fixture.socket());
    expect([answer.status, answer.text]).toEqual([status, body]);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    await settled();
  });

  test.each([
    ['401, which speaks of Guardian', 'HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'],
    ['101 without a protocol', 'HTTP/1.1 101 Yes\r\n\r\n'],
    ['what is not HTTP', 'hello\r\n\r\n'],
    ['nothing', ''],
  ])('with %s is 502 BAD_GATEWAY', async (_what, text) => {
    await start((_request, socket) => void socket.resume().end(text));
    const answer = await refusal(fixture.socket());
    expect([answer.status, jsonOf({ ...answer }).code]).toEqual([502, 'BAD_GATEWAY']);
    await settled();
  });

  test('with a body that breaks off does not look complete', async () => {
    await start((_request, socket) => {
      socket.write('HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\npart', () => socket.destroy());
    });
    await expect(refusal(fixture.socket())).rejects.toThrow(/aborted|ECONNRESET/);
  });

  test('with a body that stands still is cut after the answer silence, and holds no place', async () => {
    await start((_request, socket) => socket.write('HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\npart'), {
      timing: { answerSilenceMs: 50, stalledMs: 50 },
    });
    await expect(refusal(fixture.socket())).rejects.toThrow(/aborted|ECONNRESET/);
    await until(() => fixture.access.server.inFlight === 0);
    await settled();
  });

  test('by silence is 504 TIMEOUT', async () => {
    await start(() => undefined, { timing: { answerTimeoutMs: 50 } });
    const answer = await refusal(fixture.socket());
    expect([answer.status, jsonOf({ ...answer }).code]).toEqual([504, 'TIMEOUT']);
    await settled();
  });
});

describe('an upgrade is refused by us', () => {
  const code = async (socket: WebSocket) => {
    const answer = await refusal(socket);
    return [answer.status, jsonOf(answer).code];
  };
  const h1 = (headers: Record<string, string>, path = exec, method = 'POST') =>
    fixture.access.h1(path, { method, headers: { connection: 'Upgrade', ...headers } });

  test('without the right to it: 403 ACCESS_DENIED, and the cluster hears nothing', async () => {
    await start(echoServer());
    expect(await code(fixture.socket(exec, { token: 'viewer' }))).toEqual([403, 'ACCESS_DENIED']);
    const unknown = exec.replace('/exec', '/anything');
    expect(await code(fixture.socket(unknown, { token: 'viewer' }))).toEqual([403, 'ACCESS_DENIED']);
    expect(fixture.guardian.opened).toBe(0);
  });

  test.each([
    ['exec', exec, 'kubectl 1.30 or later', 'KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true'],
    ['port-forward', portForward, 'kubectl 1.31 or later', 'KUBECTL_PORT_FORWARD_WEBSOCKETS=true'],
  ])('over SPDY with 501 and the remedy, as kubectl reads it: %s', async (_what, path, ...remedy) => {
    await start(echoServer());
    const answer = await h1({ upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v4.channel.k8s.io' }, path);
    expect(answer.status).toBe(501);
    const { kind, message } = jsonOf(answer) as { kind: string; message: string };
    expect(kind).toBe('Status');
    for (const words of remedy) expect(message).toContain(words);
    expect(fixture.seen).toEqual([]);
  });

  test('over SPDY with what the cluster said to the WebSocket before it, which kubectl does not show', async () => {
    const words = 'pods "one" is forbidden: no exec here';
    const body = JSON.stringify({ kind: 'Status', message: words, code: 403 });
    await start((_request, socket) => {
      socket.resume().end(`HTTP/1.1 403 No\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
    expect((await refusal(fixture.socket())).status).toBe(403);
    expect(jsonOf(await h1({ upgrade: 'SPDY/3.1' })).detail).toContain(words);
    expect(jsonOf(await h1({ upgrade: 'SPDY/3.1' }, portForward)).detail).not.toContain(words);
    const other = await fixture.access.h1(exec, {
      method: 'POST',
      token: 'admin',
      headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' },
    });
    expect(jsonOf(other).detail).toContain('kubectl 1.30 or later');
  });

  test('over SPDY to a cluster that is away with 503, which is what is wrong', async () => {
    await start(echoServer());
    fixture.access.route = { kind: 'absent', since: undefined };
    expect(jsonOf(await h1({ upgrade: 'SPDY/3.1' })).code).toBe('CLUSTER_NOT_CONNECTED');
  });

  test.each([
    ['another protocol', { upgrade: 'h2c' }, 'GET', 501, 'UPGRADE_NOT_SUPPORTED'],
    ['a method that WebSocket does not know', { upgrade: 'websocket' }, 'POST', 400, 'INVALID_REQUEST'],
    ['a body', { upgrade: 'websocket', 'content-length': '3' }, 'GET', 400, 'INVALID_REQUEST'],
    ['no Connection: Upgrade', { upgrade: 'websocket', connection: 'close' }, 'GET', 400, 'INVALID_REQUEST'],
  ])('with %s', async (_what, headers, method, ...expected) => {
    await start(echoServer());
    const answer = await h1(headers, exec, method);
    expect([answer.status, jsonOf(answer).code]).toEqual(expected);
    expect(fixture.seen).toEqual([]);
  });

  test('where the answer is ours: 501 UPGRADE_NOT_SUPPORTED', async () => {
    await start(echoServer());
    expect(await code(fixture.socket(`/clusters/${clusterId}/version`))).toEqual([
      501,
      'UPGRADE_NOT_SUPPORTED',
    ]);
  });

  test('for a page of another origin: 403 ORIGIN_NOT_ALLOWED; one of our own may', async () => {
    await start(echoServer());
    for (const origin of [
      'https://evil.example',
      'null',
      'https://127.0.0.1:1',
      `http://127.0.0.1:${fixture.access.port}`,
    ]) {
      expect(await code(fixture.socket(exec, { headers: { origin } }))).toEqual([403, 'ORIGIN_NOT_ALLOWED']);
    }
    expect(fixture.seen).toEqual([]);
    const own = fixture.socket(exec, { headers: { origin: `https://127.0.0.1:${fixture.access.port}` } });
    await once(own, 'open');
    own.terminate();
  });
});
