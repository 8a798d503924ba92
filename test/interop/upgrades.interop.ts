/** What is not a plain request, through the access side, the tunnel and a Go agent wired as Guardian is: WebSockets and gRPC. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { eventually } from '../stack/poll.ts';
import { type Access, clusterId, startFixture } from '../tunnel-fargate/access/access-fixture.ts';
import { hintName } from '../tunnel-fargate/certificates.ts';
import { type Fixture, startTunnel } from '../tunnel-fargate/tunnel-fixture.ts';
import { type GoAgent, startGoAgent } from './go-agent.ts';
import { grpcMessage, startWebSocketApi, type WebSocketApi } from './web-socket-api.ts';

const pod = (name: string) => `/clusters/${clusterId}/api/v1/namespaces/default/pods/${name}`;
const exec = `${pod('one')}/exec?command=sh&stdin=true&stdout=true`;
const execProtocol = 'v5.channel.k8s.io';

let api: WebSocketApi;
let tunnel: Fixture;
let agent: GoAgent;
let access: Access;
beforeAll(async () => {
  api = await startWebSocketApi();
  tunnel = await startTunnel();
  const { certificate, key } = await tunnel.register();
  const hint = await tunnel.ca.issue({ names: [hintName] });
  agent = await startGoAgent({
    tunnelAddress: `127.0.0.1:${tunnel.port}`,
    certificate,
    key,
    trustBundle: `${hint.certificate}\n${tunnel.roots}`,
    kubeApi: api,
    flags: { 'goldmane-url': api.goldmaneUrl },
  });
  access = await startFixture(undefined);
  access.route = { kind: 'link', link: await tunnel.link() };
});
afterAll(async () => {
  await access.close();
  await agent.close();
  await tunnel.close();
  await api.close();
});
beforeEach(() => {
  api.closeWith = undefined;
});

function open(path: string, protocols: string[]): WebSocket {
  const socket = new WebSocket(`wss://127.0.0.1:${access.port}${path}`, protocols, {
    ca: access.ca.certificate,
    headers: { authorization: 'Bearer editor' },
    maxPayload: 64 * 1024 * 1024,
  });
  socket.on('error', () => undefined);
  return socket;
}

const bytesOf = (seed: number, size: number) =>
  Buffer.alloc(size, createHash('sha512').update(String(seed)).digest());

/** Sends as soon as it is open, and closes when everything is back; says what went wrong, if anything did. */
async function sentAndReturned(path: string, protocol: string, messages: readonly Buffer[]): Promise<string> {
  const socket = open(path, [protocol]);
  const back: Buffer[] = [];
  const outcome = await new Promise<string>((resolve) => {
    socket.on('open', () => {
      for (const message of messages) socket.send(message);
    });
    socket.on('message', (data) => {
      back.push(data as Buffer);
      if (back.length === messages.length) resolve('');
    });
    socket.on('close', (code) => resolve(`closed with ${code} after ${back.length} messages`));
    socket.on('error', (error) => resolve(error.message));
  });
  if (outcome !== '') return outcome;
  const closed = once(socket, 'close') as Promise<[number, Buffer]>;
  socket.close(1000);
  const [code] = await closed;
  if (code !== 1000) return `ended with ${code}`;
  return Buffer.concat(back).equals(Buffer.concat(messages)) ? '' : 'other bytes came back';
}

describe('WebSockets', () => {
  test.each([
    ['exec', exec, execProtocol],
    // kubectl's port-forward asks for a protocol whose name this client refuses (SPDY/3.1+portforward.k8s.io).
    ['port-forward', `${pod('one')}/portforward`, 'v4.channel.k8s.io'],
  ])('%s works in 100 of 100 runs, from the first message on', async (_name, path, protocol) => {
    const outcomes: string[] = [];
    for (let run = 0; run < 100; run += 1) {
      outcomes.push(await sentAndReturned(path, protocol, [bytesOf(run, 1), bytesOf(run, 3_000)]));
    }
    expect(outcomes).toEqual(Array.from({ length: 100 }, () => ''));
    expect(api.protocols.get(protocol)).toBeGreaterThanOrEqual(100);
    expect(new Set(api.early)).toEqual(new Set([0]));
  });

  test('50 at once carry a MiB each way', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, run) =>
        sentAndReturned(
          exec,
          execProtocol,
          Array.from({ length: 16 }, (__, at) => bytesOf(run * 16 + at, 65_536)),
        ),
      ),
    );
    expect(outcomes).toEqual(Array.from({ length: 50 }, () => ''));
  }, 60_000);

  test('the cluster’s close code reaches the client', async () => {
    api.closeWith = 4001;
    const socket = open(exec, [execProtocol]);
    await once(socket, 'open');
    socket.send('x');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([4001, 'as the test wants']);
  });

  test('what the cluster refuses comes as the cluster says it', async () => {
    const socket = open(`${pod('forbidden')}/exec?command=sh`, [execProtocol]);
    const [, answer] = (await once(socket, 'unexpected-response')) as [
      unknown,
      NodeJS.ReadableStream & { statusCode: number },
    ];
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    expect([answer.statusCode, JSON.parse(text) as unknown]).toMatchObject([
      403,
      { kind: 'Status', code: 403 },
    ]);
  });

  test('a client that is cut off leaves nothing open', async () => {
    const sockets = Array.from({ length: 20 }, () => open(exec, [execProtocol]));
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    for (const socket of sockets) socket.terminate();
    await eventually('the access side is idle', 5_000, () => access.server.inFlight === 0);
    expect(await sentAndReturned(exec, execProtocol, [bytesOf(1, 10)])).toBe('');
    expect(agent.go.complaints).toBe('');
  });
});

describe('gRPC to Goldmane', () => {
  const list = `/clusters/${clusterId}/goldmane.Statistics/List`;

  async function ask(message: Buffer) {
    const session = connect(`https://127.0.0.1:${access.port}`, { ca: access.ca.certificate });
    session.on('error', () => undefined);
    const stream = session.request({
      ':method': 'POST',
      ':path': list,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: 'Bearer viewer',
    });
    let trailers: Record<string, unknown> = {};
    stream.on('trailers', (headers: Record<string, unknown>) => (trailers = headers));
    stream.end(message);
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    session.close();
    return { body: Buffer.concat(chunks), trailers };
  }

  test('streams messages and ends them with its status in trailers', async () => {
    const message = grpcMessage(bytesOf(7, 100_000));
    const { body, trailers } = await ask(message);
    expect(body.equals(Buffer.concat([message, message, message]))).toBe(true);
    expect(trailers).toMatchObject({ 'grpc-status': '0', 'grpc-message': 'trailers' });
  });

  test('passes a failure of Goldmane on', async () => {
    expect((await ask(grpcMessage(Buffer.alloc(0)))).trailers).toMatchObject({ 'grpc-status': '3' });
  });
});
