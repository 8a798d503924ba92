import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { addDemoObjects } from '../../../local/demo-cluster/demo-objects.ts';
import { resourceOf } from '../../../local/demo-cluster/kube-api-resource.ts';
import { type KubeApi, startKubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { call } from './kube-client.ts';

const v5 = 'v5.channel.k8s.io';
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('exec and attach of the demo API', () => {
  let api: KubeApi;
  let pod: string;
  beforeAll(async () => {
    api = await startKubeApi();
    addDemoObjects(api.store, new Date());
    pod = api.store.list(resourceOf('', 'pods'), 'shop')[0]?.metadata.name ?? '';
  });
  afterAll(() => api.close());

  const pathOf = (subresource: string, query: string) =>
    `/api/v1/namespaces/shop/pods/${pod}/${subresource}?${query}`;
  const connect = (path: string, protocols: string[], token = api.token) =>
    new WebSocket(api.url.replace('https', 'wss') + path, protocols, {
      ca: api.ca,
      headers: { authorization: `Bearer ${token}` },
    });

  /** Everything that came on each channel until the server closed. */
  async function channelsOf(socket: WebSocket): Promise<Buffer[]> {
    const parts: Buffer[][] = [[], [], [], [], []];
    socket.on('message', (data: Buffer) => parts[data[0] ?? 0]?.push(data.subarray(1)));
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1000);
    return parts.map((chunks) => Buffer.concat(chunks));
  }
  const command = (...words: string[]) =>
    words.map((word) => `command=${encodeURIComponent(word)}`).join('&');
  const statusOf = (channels: Buffer[]) => JSON.parse(channels[3]?.toString() ?? '') as unknown;

  test.each([v5, 'v4.channel.k8s.io'])('run a command and say how it ended (%s)', async (protocol) => {
    const query = `${command('sh', '-c', 'echo out; nothing; exit 5')}&stdout=true&stderr=true`;
    const socket = connect(pathOf('exec', query), [protocol]);
    const channels = await channelsOf(socket);
    expect(socket.protocol).toBe(protocol);
    expect(channels[1]?.toString()).toBe('out\n');
    expect(channels[2]?.toString()).toContain('nothing: not found');
    expect(statusOf(channels)).toEqual({
      metadata: {},
      status: 'Failure',
      message: 'command terminated with non-zero exit code: exit status 5',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '5' }] },
    });
  });

  test('take the end of standard input as its own, and lose nothing of a megabyte', async () => {
    const socket = connect(pathOf('exec', `${command('cat')}&stdin=true&stdout=true`), [v5]);
    await once(socket, 'open');
    const all = channelsOf(socket);
    const bytes = randomBytes(1_000_000);
    for (let at = 0; at < bytes.length; at += 30_000) {
      socket.send(Buffer.concat([Buffer.of(0), bytes.subarray(at, at + 30_000)]));
    }
    socket.send(Buffer.of(255, 0));
    const channels = await all;
    expect(sha256(channels[1] ?? Buffer.alloc(0))).toBe(sha256(bytes));
    expect(statusOf(channels)).toEqual({ metadata: {}, status: 'Success' });
  });

  test('are a shell on a terminal: prompt, echo, Ctrl-D', async () => {
    const query = `${command('sh')}&stdin=true&stdout=true&tty=true`;
    const socket = connect(pathOf('exec', query), [v5]);
    await once(socket, 'open');
    const all = channelsOf(socket);
    socket.send(Buffer.concat([Buffer.of(4), Buffer.from('{"Width":80,"Height":24}')]));
    socket.send(Buffer.from('\0hostname\r'));
    socket.send(Buffer.from('\0\x04'));
    expect((await all)[1]?.toString()).toBe(`$ hostname\r\n${pod}\r\n$ `);
  });

  test('follow what the pod writes from now on, until the pod is gone', async () => {
    const path = `/api/v1/namespaces/shop/pods`;
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'short' },
      spec: { containers: [{ name: 'a', image: 'b' }] },
    };
    await call(api, path, { method: 'POST', body });
    expect((await call(api, `${path}/short/attach`)).status).toBe(400);
    const pods = resourceOf('', 'pods');
    const made = api.store.get(pods, 'shop', 'short');
    api.store.update(pods, { ...made, status: { phase: 'Running' } });
    api.logs.append('shop', 'short', { at: new Date(), text: 'before' });
    const socket = connect(`${path}/short/attach?stdout=true`, [v5]);
    await once(socket, 'open');
    const all = channelsOf(socket);
    api.logs.append('shop', 'short', { at: new Date(), text: 'one' });
    api.logs.append('shop', 'short', { at: new Date(), text: 'two' });
    await call(api, `${path}/short`, { method: 'DELETE' });
    expect((await all)[1]?.toString()).toBe('one\ntwo\n');
  });

  test('end when the client goes: a command that waits does not stay', async () => {
    const socket = connect(pathOf('exec', `${command('sleep', '3600')}&stdout=true`), [v5]);
    await once(socket, 'open');
    socket.terminate();
    await once(socket, 'close');
    // close() of the API waits for all connections; a sleeping command would not hold it, but a timer would hold Jest.
    expect((await call(api, pathOf('log', ''))).status).toBe(200);
  });

  test.each([
    ['exec', 'stdout=true', [v5], 400, 'at least 1 command'],
    ['exec', 'command=ls&container=other', [v5], 400, 'container other is not valid'],
    ['exec', 'command=ls', ['v1.channel.k8s.io'], 400, 'none of the sub-protocols is known'],
    ['portforward', '', [v5], 400, 'SPDY/3.1+portforward.k8s.io'],
    ['log', '', [v5], 405, 'does not allow this method'],
    ['nothing', '', [v5], 404, 'could not find the requested resource'],
  ])('refuse %s?%s with %j by %d and words', async (subresource, query, protocols, status, words) => {
    const socket = connect(pathOf(subresource, query), protocols);
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [
      unknown,
      AsyncIterable<Buffer> & { statusCode: number },
    ];
    let text = '';
    for await (const chunk of response) text += chunk.toString();
    expect([response.statusCode, JSON.parse(text)]).toEqual([
      status,
      expect.objectContaining({ kind: 'Status', message: expect.stringContaining(words) }),
    ]);
  });

  test('refuse a wrong token with 401, and plain requests with words', async () => {
    const socket = connect(pathOf('exec', 'command=ls'), [v5], 'wrong');
    socket.on('error', () => undefined);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(401);
    const plain = await call(api, pathOf('exec', 'command=ls'), { method: 'POST' });
    expect([plain.status, plain.text]).toEqual([400, expect.stringContaining('Upgrade request required')]);
  });
});
