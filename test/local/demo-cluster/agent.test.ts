import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { createServer as createTlsServer, connect as connectTls, TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { AgentOptions, AgentState, DemoAgent } from '../../../local/demo-cluster/agent.ts';
import { startAgent } from '../../../local/demo-cluster/agent.ts';
import { ignoreErrors } from '../../../local/demo-cluster/agent-stream.ts';
import { logEndpointName } from '../../../local/demo-cluster/agent-flows.ts';
import { demoFlows, startFlowEmission } from '../../../local/demo-cluster/demo-flows.ts';
import { startLife } from '../../../local/demo-cluster/demo-life.ts';
import { addDemoObjects } from '../../../local/demo-cluster/demo-objects.ts';
import { resourceOf } from '../../../local/demo-cluster/kube-api-resource.ts';
import type { KubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { startKubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import type { Json } from '../../../local/demo-cluster/kube-json.ts';
import { listAt, textAt } from '../../../local/demo-cluster/kube-json.ts';
import type { Identity, TunnelServer } from './tunnel-server.ts';
import { hintCertificate, startTunnelServer, TestCa, tunnelName } from './tunnel-server.ts';

const fingerprint = (certificate: string) => new X509Certificate(certificate).fingerprint256;

/** An inner TLS connection over a stream, as the control plane opens it: any certificate, checked by fingerprint. */
async function innerTls(stream: Duplex, protocols?: string[]): Promise<TLSSocket> {
  const socket = connectTls({
    socket: stream,
    rejectUnauthorized: false,
    ...(protocols ? { ALPNProtocols: protocols } : {}),
  });
  socket.on('error', () => undefined);
  ignoreErrors(stream);
  await once(socket, 'secureConnect');
  return socket;
}

/** A moment between two looks at a condition. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

type Reply = { status: number; headers: IncomingHttpHeaders; text: string };

async function replyOf(response: IncomingMessage): Promise<Reply> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** One HTTP/1.1 request on a connection of its own. */
async function http1(
  stream: Duplex,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Reply> {
  const socket = await innerTls(stream, ['http/1.1']);
  const request = httpRequest({
    createConnection: () => socket,
    path,
    method,
    headers: { host: 'cluster.test', ...headers },
  });
  request.on('error', () => undefined);
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return replyOf(response);
}

async function http2(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const request = session.request({ ':path': path, ...headers });
  const [answer] = (await once(request, 'response')) as [IncomingHttpHeaders & { ':status': number }];
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  return { status: answer[':status'], headers: answer, text };
}

describe('the demo agent', () => {
  let ca: TestCa;
  let logCa: TestCa;
  let server: Identity;
  let client: Identity;
  let trustBundle: string;
  let kube: KubeApi;
  let tunnel: TunnelServer;
  let agent: DemoAgent | undefined;
  let states: AgentState[];

  beforeAll(async () => {
    ca = await TestCa.make('root');
    logCa = await TestCa.make('log root');
    server = await ca.issue(['other.test', tunnelName]);
    client = await ca.issue([]);
    trustBundle = `${await hintCertificate([tunnelName])}\n${ca.pem}`;
    kube = await startKubeApi();
    addDemoObjects(kube.store, new Date());
  });
  afterAll(() => kube.close());
  beforeEach(async () => {
    states = [];
    tunnel = await startTunnelServer(server);
  });
  afterEach(async () => {
    await agent?.close();
    agent = undefined;
    await tunnel.close();
  });

  function start(options: Partial<AgentOptions> = {}): DemoAgent {
    agent = startAgent({
      ...client,
      tunnelAddress: tunnel.address,
      trustBundle,
      logTrust: logCa.pem,
      kubeApi: kube,
      onState: (state) => states.push(state),
      pingIntervalMs: 5,
      sessionIntervalMs: 50,
      redialIntervalMs: 20,
      flowRetryMs: 5,
      ...options,
    });
    return agent;
  }

  async function untilPhase(phase: AgentState['phase']): Promise<AgentState> {
    for (;;) {
      const found = states.find((state) => state.phase === phase);
      if (found) return found;
      await turn();
    }
  }

  describe('its tunnel', () => {
    test('asks for the name of the first certificate, whatever is dialled, and shows its certificate', async () => {
      start();
      const { socket } = await tunnel.session();
      expect(socket.servername).toBe(tunnelName);
      expect(socket.getPeerX509Certificate()?.fingerprint256).toBe(fingerprint(client.certificate));
      expect((await untilPhase('connected')).phase).toBe('connected');
    });

    test('does not connect to a server of another root, or of another name, and keeps dialling', async () => {
      for (const bundle of [
        `${await hintCertificate([tunnelName])}\n${logCa.pem}`,
        `${await hintCertificate(['elsewhere.test'])}\n${ca.pem}`,
      ]) {
        states = [];
        start({ trustBundle: bundle });
        await untilPhase('waiting');
        while (states.filter(({ phase }) => phase === 'dialling').length < 3) await turn();
        await agent?.close();
        expect(states.some(({ phase }) => phase === 'connected')).toBe(false);
      }
    });

    test('pings again only after the reply to its last ping', async () => {
      start();
      const { socket } = await tunnel.session();
      let pings = 0;
      const frames: number[] = [];
      socket.on('data', (chunk: Buffer) => {
        for (let offset = 0; offset + 12 <= chunk.length; offset += 12) {
          if (chunk[offset + 1] === 2) frames.push(chunk.readUInt32BE(offset + 8));
        }
        pings = frames.length;
      });
      while (pings < 5) await turn();
      expect(frames).toEqual([...frames].sort((a, b) => a - b));
      expect(new Set(frames).size).toBe(frames.length);
    });

    test('redials at once after a session, but never begins two within the session interval', async () => {
      const connected: number[] = [];
      start({
        sessionIntervalMs: 150,
        onState: ({ phase }) => {
          if (phase === 'connected') connected.push(performance.now());
        },
      });
      (await tunnel.session(0)).socket.destroy();
      await tunnel.session(1);
      while (connected.length < 2) await turn();
      expect((connected[1] ?? 0) - (connected[0] ?? 0)).toBeGreaterThanOrEqual(148);
    });

    test('connects as soon as a server appears where none was', async () => {
      const { port } = tunnel;
      await tunnel.close();
      start({ tunnelAddress: `127.0.0.1:${port}` });
      await untilPhase('waiting');
      tunnel = await startTunnelServer(server, port);
      await tunnel.session();
      expect((await untilPhase('connected')).phase).toBe('connected');
    });

    test('ends in order: close_notify and FIN, no GoAway, within a second', async () => {
      start();
      const { session, socket } = await tunnel.session();
      const ended = once(socket, 'end');
      const reason = new Promise<string | undefined>((resolve) =>
        session.on('close', (error) => resolve(error?.code)),
      );
      const begun = performance.now();
      await agent?.close();
      expect(performance.now() - begun).toBeLessThan(1000);
      await ended;
      expect(await reason).toBe('TRANSPORT_CLOSED');
      expect(agent?.state.phase).toBe('closed');
    });
  });

  describe('requests into the cluster', () => {
    const read = (reply: Reply) => JSON.parse(reply.text) as Json;

    test('meet a TLS server that shows the cluster certificate, with h2, http/1.1 or no ALPN', async () => {
      start();
      const { session } = await tunnel.session();
      for (const [offered, chosen] of [
        [['h2'], 'h2'],
        [['http/1.1'], 'http/1.1'],
        [['h2', 'http/1.1'], 'h2'],
        [undefined, false],
      ] as const) {
        const socket = await innerTls(session.open(), offered ? [...offered] : undefined);
        expect(socket.alpnProtocol).toBe(chosen);
        expect(socket.getPeerX509Certificate()?.fingerprint256).toBe(fingerprint(client.certificate));
        socket.destroy();
      }
    });

    test('reach the API over h2 with the service account, whatever Authorization they carry; 100 at once', async () => {
      start();
      const { session } = await tunnel.session();
      const socket = await innerTls(session.open(), ['h2']);
      const h2 = connectHttp2('https://cluster.test', { createConnection: () => socket });
      const replies = await Promise.all(
        Array.from({ length: 100 }, () =>
          http2(h2, '/api/v1/namespaces/shop/pods', { authorization: 'Bearer stolen' }),
        ),
      );
      expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 200));
      expect(replies.map((reply) => listAt(read(reply), 'items').length)).toEqual(replies.map(() => 4));
      expect(replies[0]?.headers['strict-transport-security']).toBeDefined();
      h2.destroy();
    });

    test('are 404 outside of /api/ and /apis/, and redirected to the slash at /api and /apis', async () => {
      start();
      const { session } = await tunnel.session();
      for (const path of [
        '/version',
        '/openapi/v3',
        '/healthz',
        '/goldmane.Statistics/List',
        '/goldmane.Flows/List',
      ]) {
        expect([path, (await http1(session.open(), path)).status]).toEqual([path, 404]);
      }
      const redirect = await http1(session.open(), '/apis?timeout=32s');
      expect([redirect.status, redirect.headers.location]).toEqual([301, '/apis/?timeout=32s']);
    });

    test('reach the handler for statistics where one is configured', async () => {
      start({ statistics: (_request, response) => (response.writeHead(200, {}), response.end('grpc')) });
      const { session } = await tunnel.session();
      expect((await http1(session.open(), '/goldmane.Statistics/List')).text).toBe('grpc');
    });

    test('keep Impersonate headers: the cluster itself refuses them with 403', async () => {
      start();
      const { session } = await tunnel.session();
      const reply = await http1(session.open(), '/api/v1/pods', { 'impersonate-user': 'root' });
      expect([reply.status, textAt(read(reply), 'reason')]).toEqual([403, 'Forbidden']);
    });

    test('on HTTP/1.1 are one a stream: the stream ends after the answer, which does not say so', async () => {
      start();
      const { session } = await tunnel.session();
      const socket = await innerTls(session.open(), ['http/1.1']);
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      const request = 'GET /api/v1/namespaces/shop HTTP/1.1\r\nHost: cluster.test\r\n\r\n';
      socket.write(request + request);
      await once(socket, 'end');
      expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
      expect(text.toLowerCase()).not.toContain('connection:');
    });

    describe('for a WebSocket', () => {
      const upgrade = (path: string) =>
        [
          `GET ${path} HTTP/1.1`,
          'Host: cluster.test',
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
          'Sec-WebSocket-Protocol: v5.channel.k8s.io',
          '\r\n',
        ].join('\r\n');
      const execOf = (words: string) => {
        const [pod] = kube.store.list(resourceOf('', 'pods'), 'shop');
        return `/api/v1/namespaces/shop/pods/${pod?.metadata.name}/exec?stdout=true&${words}`;
      };
      /** What comes until the stream ends, after a head and what is sent with it. */
      async function answerTo(head: string, byte: Buffer): Promise<string> {
        const { session } = await tunnel.session();
        const stream = session.open();
        const socket = await innerTls(stream, ['http/1.1']);
        let text = '';
        // The API server closes by a frame and waits for ours, or for the end.
        socket.setEncoding('latin1').on('data', (chunk: string) => {
          text += chunk;
          if (text.endsWith('\x88\x02\x03\xe8')) socket.end();
        });
        stream.hold();
        socket.write(head);
        socket.write(byte, () => stream.release());
        await once(socket, 'end');
        return text;
      }

      test('pass on, as the service account, and lose the one byte that came with the head', async () => {
        start();
        const text = await answerTo(upgrade(execOf('command=echo&command=through')), Buffer.of(0));
        expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
        expect(text.toLowerCase()).toContain('sec-websocket-protocol: v5.channel.k8s.io');
        // A text of the first channel, then the status, as frames of the server.
        expect(text).toContain('\x82\x09\x01through\n');
        expect(text).toContain('"status":"Success"');
      });

      test('without that byte get their 101 and then nothing: Guardian’s flaw', async () => {
        start();
        const text = await answerTo(upgrade(execOf('command=echo&command=through')), Buffer.alloc(0));
        expect(text).toMatch(/^HTTP\/1\.1 101 /);
        expect(text).not.toContain('through');
      });

      test('that the API server refuses get its answer, elsewhere 404', async () => {
        start();
        const refused = await answerTo(upgrade(execOf('container=none')), Buffer.of(0));
        expect(refused).toMatch(/^HTTP\/1\.1 400 [^]*container none is not valid/);
        expect(await answerTo(upgrade('/metrics'), Buffer.of(0))).toMatch(/^HTTP\/1\.1 404 /);
      });
    });

    test('whose client half-closes its stream get no answer: FIN counts as full close', async () => {
      start();
      const { session } = await tunnel.session();
      const stream = session.open();
      const closed = new Promise((resolve) => stream.on('close', resolve));
      const socket = await innerTls(stream, ['http/1.1']);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.end('GET /api/v1/pods?watch=true HTTP/1.1\r\nHost: cluster.test\r\n\r\n');
      await closed;
      expect(text).not.toContain('"items"');
      expect(text).not.toContain('ADDED');
    });

    test('may watch: events come as they happen, and leaving ends the watch in the cluster', async () => {
      const life = startLife({ store: kube.store, logs: kube.logs, intervalMs: 1_000_000 });
      start();
      const { session } = await tunnel.session();
      const socket = await innerTls(session.open(), ['h2']);
      const h2 = connectHttp2('https://cluster.test', { createConnection: () => socket });
      const version = String(kube.store.version);
      const watch = h2.request({
        ':path': `/api/v1/namespaces/shop/pods?watch=true&resourceVersion=${version}`,
      });
      await once(watch, 'response');
      for (let count = 0; count < 3; count++) {
        life.tick();
        const [chunk] = (await once(watch, 'data')) as [Buffer];
        expect(textAt(JSON.parse(chunk.toString()) as Json, 'type')).toBe('MODIFIED');
      }
      watch.close();
      h2.destroy();
      life.stop();
    });

    test('are written through: a POST with a body over h2 creates', async () => {
      start();
      const { session } = await tunnel.session();
      const socket = await innerTls(session.open(), ['h2']);
      const h2 = connectHttp2('https://cluster.test', { createConnection: () => socket });
      const request = h2.request({
        ':method': 'POST',
        ':path': '/api/v1/namespaces/shop/configmaps',
        'content-type': 'application/json',
      });
      request.end(
        JSON.stringify({ metadata: { name: 'through-the-tunnel' }, data: { big: 'x'.repeat(600_000) } }),
      );
      const [answer] = (await once(request, 'response')) as [{ ':status': number }];
      expect(answer[':status']).toBe(201);
      h2.destroy();
    });

    test('leave nothing uncaught when the tunnel is lost at any moment around an answer', async () => {
      start({ sessionIntervalMs: 0 });
      for (let round = 0; round < 20; round++) {
        const { session, socket } = await tunnel.session(round);
        const reply = http1(session.open(), '/api/v1/namespaces/shop');
        if (round % 2 === 0) await reply;
        else reply.catch(() => undefined);
        for (let turns = 0; turns < round % 5; turns++) await turn();
        socket.destroy();
      }
      const { session } = await tunnel.session(20);
      expect((await http1(session.open(), '/api/v1/namespaces/shop')).status).toBe(200);
    });

    test('get 502 when the API server is gone', async () => {
      const gone = await startKubeApi();
      await gone.close();
      start({ kubeApi: gone });
      const { session } = await tunnel.session();
      expect((await http1(session.open(), '/api/v1/pods')).status).toBe(502);
    });
  });

  test('tells the API server its peer in X-Forwarded-For, keeps Host and drops hop-by-hop headers', async () => {
    const identity = await ca.issue(['localhost']);
    const seen = Promise.withResolvers<IncomingHttpHeaders>();
    const upstream = createTlsServer({ key: identity.key, cert: identity.certificate });
    const http = createHttpServer((request, response) => {
      seen.resolve(request.headers);
      response.end('{}');
    });
    upstream.on('secureConnection', (socket) => http.emit('connection', socket));
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const address = upstream.address();
    const url = `https://localhost:${typeof address === 'object' && address ? address.port : 0}`;
    start({ kubeApi: { url, ca: ca.pem, token: 'sa-token' } });
    const { session } = await tunnel.session();
    const sent = {
      'x-forwarded-for': '203.0.113.9',
      connection: 'x-hop',
      'x-hop': '1',
      authorization: 'Bearer mine',
    };
    await http1(session.open(), '/api/v1/pods', sent);
    expect(await seen.promise).toMatchObject({
      authorization: 'Bearer sa-token',
      host: 'cluster.test',
      'x-forwarded-for': '203.0.113.9, 127.0.0.1',
      'x-forwarded-host': '',
    });
    expect((await seen.promise)['x-hop']).toBeUndefined();
    await agent?.close();
    upstream.close();
  });

  describe('flows', () => {
    type Post = {
      method: string;
      path: string;
      headers: IncomingHttpHeaders;
      body: string;
      servername: string | false | null;
      peer: boolean;
    };

    /** Answers what the cluster posts, with the statuses in turn (the last one for all further posts). */
    async function logEndpoint(statuses: number[], signer = logCa, name = logEndpointName): Promise<Post[]> {
      const identity = await signer.issue([name]);
      const posts: Post[] = [];
      const http = createHttpServer((request, response) => {
        void replyOf(request).then(({ text }) => {
          const { method = '', url: path = '', headers } = request;
          const inner: unknown = request.socket;
          if (!(inner instanceof TLSSocket)) throw new Error('the flows came without TLS');
          posts.push({
            method,
            path,
            headers,
            body: text,
            servername: inner.servername,
            peer: inner.getPeerX509Certificate() !== undefined,
          });
          response.writeHead(statuses[Math.min(posts.length, statuses.length) - 1] ?? 500);
          response.end();
        });
      });
      const { session } = await tunnel.session();
      session.on('stream', (stream) => {
        const socket = new TLSSocket(stream, {
          isServer: true,
          key: identity.key,
          cert: identity.certificate,
        });
        ignoreErrors(stream);
        socket.on('error', () => undefined);
        socket.on('secure', () => http.emit('connection', socket));
      });
      return posts;
    }

    test('arrive as one POST of NDJSON without final newline, under the log name and no credentials', async () => {
      start();
      const posts = await logEndpoint([200]);
      await untilPhase('connected');
      const result = await agent?.pushFlows([{ a: 1, b: '<&>' }, { c: 2 }]);
      expect(result).toEqual({ outcome: 'delivered', attempts: 1 });
      expect(posts).toHaveLength(1);
      expect(posts[0]).toMatchObject({
        method: 'POST',
        path: '/api/v1/flows/bulk',
        servername: logEndpointName,
        peer: false,
      });
      expect(posts[0]?.body).toBe('{"a":1,"b":"\\u003c\\u0026\\u003e"}\n{"c":2}');
      expect(posts[0]?.headers).toMatchObject({
        'content-type': 'application/x-ndjson',
        'content-length': String(posts[0]?.body.length),
      });
      expect(posts[0]?.headers.authorization).toBeUndefined();
    });

    test('count only 200 as success and are sent again otherwise', async () => {
      start();
      const posts = await logEndpoint([503, 204, 200]);
      await untilPhase('connected');
      expect(await agent?.pushFlows([{ a: 1 }])).toEqual({ outcome: 'delivered', attempts: 3 });
      expect(posts.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}', '{"a":1}']);
    });

    test('are dropped after 15 retries', async () => {
      start({ flowRetryMs: 1, flowRetryLimitMs: 1 });
      const posts = await logEndpoint([500]);
      await untilPhase('connected');
      expect(await agent?.pushFlows([{ a: 1 }])).toEqual({ outcome: 'dropped', attempts: 16 });
      expect(posts).toHaveLength(16);
    });

    test('of an older window are skipped once a newer one got through', async () => {
      start();
      const posts = await logEndpoint([500, 200]);
      await untilPhase('connected');
      const results = await Promise.all([agent?.pushFlows([{ older: 1 }]), agent?.pushFlows([{ newer: 1 }])]);
      expect(results).toEqual([
        { outcome: 'skipped', attempts: 1 },
        { outcome: 'delivered', attempts: 1 },
      ]);
      expect(posts).toHaveLength(2);
    });

    test('are never sent to an endpoint of another root, or of another name', async () => {
      for (const [signer, name] of [
        [ca, logEndpointName],
        [logCa, 'linseed.test'],
      ] as const) {
        const before = tunnel.accepted.length;
        start({ flowRetryMs: 1, flowRetryLimitMs: 1 });
        await tunnel.session(before);
        const identity = await signer.issue([name]);
        let bytes = 0;
        tunnel.accepted[before]?.session.on('stream', (stream) => {
          const socket = new TLSSocket(stream, {
            isServer: true,
            key: identity.key,
            cert: identity.certificate,
          });
          ignoreErrors(stream);
          socket.on('error', () => undefined);
          socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
        });
        states = [];
        expect(await agent?.pushFlows([{ a: 1 }])).toEqual({ outcome: 'dropped', attempts: 16 });
        expect(bytes).toBe(0);
        await agent?.close();
      }
    });

    test('wait for the tunnel and arrive when it is back', async () => {
      const { port } = tunnel;
      await tunnel.close();
      start({ flowRetryMs: 20, flowRetryLimitMs: 20, tunnelAddress: `127.0.0.1:${port}` });
      await untilPhase('waiting');
      const pushed = agent?.pushFlows([{ a: 1 }]);
      tunnel = await startTunnelServer(server, port);
      const posts = await logEndpoint([200]);
      expect((await pushed)?.outcome).toBe('delivered');
      expect(posts).toHaveLength(1);
    });

    test('of the demo are pushed by themselves, window after window', async () => {
      const running = start();
      const posts = await logEndpoint([200]);
      await untilPhase('connected');
      let seconds = 1_800_000_000;
      const emission = startFlowEmission(running, {
        intervalMs: 5,
        now: () => new Date((seconds += 15) * 1000),
      });
      while (posts.length < 2) await turn();
      emission.stop();
      const windows = posts
        .slice(0, 2)
        .map(({ body }) => JSON.parse(body.split('\n')[0] ?? '') as { start_time: number; end_time: number });
      expect(windows[1]?.start_time).toBe(windows[0]?.end_time);
    });

    test('of the demo look like Goldmane wrote them: seconds, numbers for enums, no zero values', () => {
      const flows = demoFlows(1_800_000_000, 1_800_000_015);
      expect(flows.length).toBeGreaterThan(2);
      for (const flow of flows) {
        expect(flow).toMatchObject({ start_time: 1_800_000_000, end_time: 1_800_000_015 });
        expect(JSON.stringify(flow)).not.toMatch(/:0[,}]|:""|:\[\]/);
        expect([1, 2]).toContain((flow.Key as { action: number }).action);
      }
      expect(flows).toEqual(demoFlows(1_800_000_000, 1_800_000_015));
    });
  });
});
