/** A Go agent wired as Guardian is, against the tunnel server. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { hintName } from '../tunnel-fargate/certificates.ts';
import { clusterA, type Fixture, startTunnel, until } from '../tunnel-fargate/tunnel-fixture.ts';
import { type RecordingKubeApi, startRecordingKubeApi } from '../stack/recording-kube-api.ts';
import { type GoAgent, postFlows, startGoAgent } from './go-agent.ts';
import { Relay } from './relay.ts';

let kubeApi: RecordingKubeApi;
beforeAll(async () => {
  kubeApi = await startRecordingKubeApi();
});
afterAll(() => kubeApi.close());

let tunnel: Fixture;
let relay: Relay;
let agent: GoAgent;
beforeEach(async () => {
  tunnel = await startTunnel({ agent: { tunnel: { pingIntervalMs: 100, pingTimeoutMs: 400 } } });
  relay = await Relay.to(tunnel.port);
});
afterEach(async () => {
  await agent.close();
  await relay.close();
  await tunnel.close();
});

/** Guardian's own times are for the stack's test; here an agent comes back sooner. */
const soon = { 'session-interval': '200ms', 'redial-interval': '100ms', 'write-timeout': '2s' };

async function connect(flags: Readonly<Record<string, string>> = {}): Promise<GoAgent['go']> {
  const pair = await tunnel.register();
  const hint = await tunnel.ca.issue({ names: [hintName] });
  agent = await startGoAgent({
    tunnelAddress: relay.address,
    certificate: pair.certificate,
    key: pair.key,
    trustBundle: `${hint.certificate}\n${tunnel.roots}`,
    kubeApi,
    flags: { ...soon, ...flags },
  });
  await agent.go.event('listening');
  await tunnel.link();
  return agent.go;
}

async function get(path: string): Promise<{ status: number; text: string }> {
  const stream = await (
    await tunnel.link()
  ).request({ ':path': path, authorization: 'Bearer x' }, { endStream: true });
  let status = 0;
  stream.on('response', (headers) => (status = headers[':status'] ?? 0));
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString();
  return { status, text };
}

describe('a Go agent', () => {
  test.each(['1.2', '1.3'])('over TLS %s takes 50 requests at once and sends flows', async (version) => {
    const go = await connect({ tls: version });
    expect(await go.event('connected')).toMatchObject({ tls: `TLS ${version}` });
    const paths = Array.from({ length: 50 }, (_, index) => `/api/v1/namespaces/n-${version}-${index}/pods`);
    const answers = await Promise.all(paths.map(get));
    expect(answers.filter(({ status, text }) => status === 200 && text.includes('PodList'))).toHaveLength(50);
    const received = kubeApi.received.filter(({ url }) => paths.includes(url));
    expect(received.map(({ url }) => url).sort()).toEqual([...paths].sort());
    expect(new Set(received.map(({ headers }) => headers.authorization))).toEqual(
      new Set([`Bearer ${kubeApi.token}`]),
    );
    expect((await get('/version')).status).toBe(404);
    const { address = '' } = await go.event('listening');
    expect(await postFlows(address, tunnel.roots, '{"start_time":1760000000}')).toBe(200);
    expect(tunnel.logs.objects).toHaveLength(1);
    expect(go.complaints).toBe('');
  });

  test('gets every answer to a POST with "Connection: close": 20 of 20', async () => {
    const go = await connect();
    const { address = '' } = await go.event('listening');
    const outcomes: unknown[] = [];
    for (let turn = 0; turn < 20; turn++)
      outcomes.push(await postFlows(address, tunnel.roots, `{"start_time":${turn}}`, true).catch(String));
    expect(outcomes).toEqual(Array.from({ length: 20 }, () => 200));
    expect(go.complaints).toBe('');
  });

  test('sees a plain EOF at our stop: close_notify and FIN', async () => {
    const go = await connect();
    await tunnel.server.drain(1_000);
    expect(await go.event('lost')).toMatchObject({ error: 'EOF' });
    expect(go.complaints).toBe('');
  });

  test('comes back after a RST; the server keeps one session of it', async () => {
    const go = await connect();
    relay.reset();
    expect((await go.event('lost')).error).toContain('connection reset by peer');
    await go.event('connected', 2);
    await until(() => tunnel.closed().length === 1);
    expect((await get('/api/v1/pods')).status).toBe(200);
    expect(tunnel.server.tunnels.size).toBe(1);
    expect(go.complaints).toBe('');
  });

  test('comes back after silence, which both sides find by their keepalive', async () => {
    const go = await connect();
    relay.silence();
    await until(() => tunnel.closed().length === 1);
    expect(tunnel.closed()).toEqual(['KEEPALIVE_TIMEOUT']);
    expect(await go.event('lost')).toMatchObject({ error: 'keepalive timeout' });
    await go.event('connected', 2);
    expect((await get('/api/v1/pods')).status).toBe(200);
    expect(tunnel.server.tunnels.size).toBe(1);
  });

  test('that starts a second time takes the place of the first: REPLACED, a plain EOF there', async () => {
    await connect({ 'session-interval': '1m' });
    const first = agent;
    const go = await connect();
    expect(await first.go.event('lost')).toMatchObject({ error: 'EOF' });
    expect(tunnel.closed()).toEqual(['REPLACED']);
    expect((await get('/api/v1/pods')).status).toBe(200);
    expect(tunnel.server.tunnels.get(clusterA)).toBeDefined();
    expect(tunnel.server.tunnels.size).toBe(1);
    expect(go.complaints + first.go.complaints).toBe('');
    await first.close();
  });
});
