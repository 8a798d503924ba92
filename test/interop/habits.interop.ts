/** What Guardian does day in, day out, by a Go agent wired as it is: pings, proxies, refusals, links that break at any moment. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { hintName } from '../tunnel-fargate/certificates.ts';
import { clusterA, clusterB, type Fixture, startTunnel, until } from '../tunnel-fargate/tunnel-fixture.ts';
import { eventually } from '../stack/poll.ts';
import { type RecordingKubeApi, startRecordingKubeApi } from '../stack/recording-kube-api.ts';
import { type ConnectProxy, startConnectProxy } from './connect-proxy.ts';
import { type GoAgent, startGoAgent } from './go-agent.ts';
import { Relay } from './relay.ts';

let kubeApi: RecordingKubeApi;
beforeAll(async () => {
  kubeApi = await startRecordingKubeApi();
});
afterAll(() => kubeApi.close());

const running: { close(): Promise<unknown> }[] = [];
const kept = <Part extends { close(): Promise<unknown> }>(part: Part): Part => {
  running.unshift(part);
  return part;
};
afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

/** Guardian's own 2 s and 5 s, made short where a test is not about them. */
const soon = { 'session-interval': '100ms', 'redial-interval': '50ms', 'write-timeout': '2s' };

type Given = {
  readonly address?: string;
  readonly clusterId?: string;
  readonly known?: boolean;
  readonly proxy?: { readonly url: string; readonly roots?: string };
  readonly flags?: Readonly<Record<string, string>>;
};

async function agentAt(tunnel: Fixture, given: Given = {}): Promise<GoAgent['go']> {
  const { clusterId = clusterA, known = true } = given;
  const pair = known ? await tunnel.register({ clusterId }) : await tunnel.ca.issue({ usage: 'client' });
  const hint = await tunnel.ca.issue({ names: [hintName] });
  const agent = await startGoAgent({
    tunnelAddress: given.address ?? `127.0.0.1:${tunnel.port}`,
    certificate: pair.certificate,
    key: pair.key,
    trustBundle: `${hint.certificate}\n${tunnel.roots}`,
    kubeApi,
    ...(given.proxy ? { proxy: given.proxy } : {}),
    flags: { ...soon, ...given.flags },
  });
  return kept(agent).go;
}

async function statusOf(tunnel: Fixture, path = '/api/v1/pods', clusterId = clusterA): Promise<number> {
  const stream = await (await tunnel.link(clusterId)).request({ ':path': path }, { endStream: true });
  return new Promise((resolve, reject) => {
    stream.on('response', (headers) => resolve(headers[':status'] ?? 0));
    stream.on('error', reject);
    stream.on('close', () => reject(new Error('closed without an answer')));
    stream.resume();
  });
}

test('idle, it asks a tenth or less of the pings when replies are held back for Guardian’s 3 s', async () => {
  const held = kept(await startTunnel({ agent: { tunnel: { pongDelayMs: 3_000 } } }));
  const prompt = kept(await startTunnel({ agent: { tunnel: { pongDelayMs: 0 } } }));
  const flags = { 'write-timeout': '10s' };
  const agents = [await agentAt(held, { flags }), await agentAt(prompt, { flags })];
  const [few = 0, many = 0] = await Promise.all(
    agents.map(async (go) => {
      await go.event('connected');
      const old = async () => {
        const told = await go.obey('pings', 'pings');
        return (told.seconds ?? 0) >= 7 && told.pings;
      };
      return eventually('seven seconds of a session', 15_000, old);
    }),
  );
  expect(few).toBeGreaterThanOrEqual(1);
  // On a busy machine Go sends fewer than ten a second; that makes this harder, not easier.
  expect(few * 10).toBeLessThanOrEqual(many);
  expect(agents.map(({ complaints }) => complaints)).toEqual(['', '']);
}, 40_000);

describe('behind a forward proxy', () => {
  let tunnel: Fixture;
  let proxy: ConnectProxy;
  beforeEach(async () => {
    tunnel = kept(await startTunnel());
  });

  test.each(['http', 'https'])('over %s connects by CONNECT with Basic authentication', async (scheme) => {
    const pair =
      scheme === 'https' ? await tunnel.ca.issue({ names: ['127.0.0.1'], usage: 'server' }) : undefined;
    proxy = kept(await startConnectProxy(pair));
    const go = await agentAt(tunnel, { proxy: { url: proxy.url, roots: tunnel.roots } });
    expect(await statusOf(tunnel)).toBe(200);
    expect(proxy.asked).toEqual([`127.0.0.1:${tunnel.port}`]);
    expect(await go.event('connected')).toMatchObject({ tls: 'TLS 1.3' });
    expect(go.complaints).toBe('');
  });

  test('comes back through it when the proxy cuts every connection', async () => {
    proxy = kept(await startConnectProxy());
    const go = await agentAt(tunnel, { proxy });
    await tunnel.link();
    await proxy.close();
    running.splice(running.indexOf(proxy), 1);
    await go.event('lost');
    await until(() => tunnel.server.tunnels.size === 0);
    expect(tunnel.closed()).toHaveLength(1);
  });
});

test('50 refused agents that come back every 2 s take little of the server, and nothing from a cluster beside them', async () => {
  const tunnel = kept(await startTunnel({ agent: { refusals: { delayMs: 1_000, maxParked: 100 } } }));
  await agentAt(tunnel, { clusterId: clusterB });
  expect(await statusOf(tunnel, '/api/v1/pods', clusterB)).toBe(200);
  const before = tunnel.directory.finds;
  const refused = await agentAt(tunnel, {
    known: false,
    flags: { copies: '50', 'session-interval': '2s', 'redial-interval': '5s', 'write-timeout': '10s' },
  });
  await until(() => tunnel.directory.finds >= before + 50, 20_000);
  const cpu = process.cpuUsage();
  const from = { finds: tunnel.directory.finds, time: performance.now() };
  const statuses: number[] = [];
  while (performance.now() - from.time < 6_000) {
    statuses.push(await statusOf(tunnel, '/api/v1/pods', clusterB));
    await delay(100);
  }
  const seconds = (performance.now() - from.time) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const handshakes = tunnel.directory.finds - from.finds;
  expect(new Set(statuses)).toEqual(new Set([200]));
  // At most one handshake of each in 2 s, and one read of the directory for each handshake.
  expect(handshakes).toBeGreaterThanOrEqual(50);
  expect(handshakes).toBeLessThanOrEqual(50 * (seconds / 2 + 1));
  // A handshake costs about 1 ms (tunnel.md 4), a request of the loop above a few: together a small part of one core.
  expect((user + system) / 1e6).toBeLessThan(0.25 * seconds);
  // One line for all of them, and no tunnel.
  expect(tunnel.refused()).toEqual(['CERTIFICATE_UNKNOWN']);
  expect(tunnel.server.tunnels.size).toBe(1);
  expect(refused.count('dial failed')).toBe(0);
}, 60_000);

test('at our stop it sees an end without a GoAway, also with requests under way', async () => {
  const tunnel = kept(await startTunnel());
  const go = await agentAt(tunnel);
  const watch = await (
    await tunnel.link()
  ).request({ ':path': '/api/v1/pods?watch=true' }, { endStream: true });
  watch.on('error', () => undefined).resume();
  await new Promise((resolve) => watch.once('response', resolve));
  await tunnel.server.drain(200);
  expect(await go.event('lost')).toMatchObject({ error: 'EOF', goAways: 0 });
});

test('links that break at 40 random moments leave one session, one entry and no stream behind', async () => {
  const tunnel = kept(await startTunnel({ agent: { tunnel: { pingIntervalMs: 100, pingTimeoutMs: 400 } } }));
  const relay = kept(await Relay.to(tunnel.port));
  const go = await agentAt(tunnel, { address: relay.address });
  await tunnel.link();
  let seed = 4;
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const stop = new AbortController();
  // Requests all the while: what they meet does not matter, that each of them ends does.
  const asking = (async () => {
    while (!stop.signal.aborted) await statusOf(tunnel).catch(() => delay(5));
  })();
  for (let round = 0; round < 40; round += 1) {
    const connected = go.count('connected');
    await delay(random() * 60);
    if (round % 10 === 9) relay.silence();
    else relay.reset();
    await go.event('connected', connected + 1);
  }
  stop.abort();
  await asking;
  await until(() => tunnel.server.tunnels.size === 1);
  await eventually('the cluster answers', 5_000, async () => (await statusOf(tunnel).catch(() => 0)) === 200);
  const opened = tunnel.lines.filter(({ event }) => event === 'tunnel opened').length;
  await until(() => tunnel.closed().length === opened - 1);
  expect(tunnel.directory.tunnels.size).toBe(1);
  expect(tunnel.directory.tunnels.get(clusterA)).toMatchObject({ state: 'connected' });
  expect(tunnel.budget.inUse).toBe(0);
}, 60_000);
