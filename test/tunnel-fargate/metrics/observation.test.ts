import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TestGuardian } from '../guardian.ts';
import { clusterA, type Fixture, startTunnel, tenantA, until } from '../tunnel-fixture.ts';
import { seriesOf } from './exposition.ts';

describe('the figures of a server', () => {
  let tunnel: Fixture;
  beforeEach(async () => {
    tunnel = await startTunnel();
  });
  afterEach(() => tunnel.close());

  const text = async () => {
    const answer = await fetch(`http://127.0.0.1:${tunnel.server.ports.metrics}/metrics`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    return answer.text();
  };
  const series = async () => seriesOf(await text());
  const value = async (name: string) => (await series()).get(name);
  const connect = (options: Partial<Parameters<typeof TestGuardian.connect>[0]> = {}) =>
    TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots, ...options });

  /** The figure reaches it; gauges and counters follow what happens within moments. */
  async function reaches(name: string, expected: number): Promise<void> {
    const end = Date.now() + 10_000;
    for (;;) {
      const found = await value(name);
      if (found === expected) return;
      if (Date.now() > end) throw new Error(`${name} is ${found}, not ${expected}`);
    }
  }

  test('follow a tunnel from its handshake to its end: streams, bytes, reason', async () => {
    const guardian = await connect({ pair: await tunnel.register() });
    const link = await tunnel.link();
    await reaches('cattery_tunnels', 1);
    expect(await value('cattery_handshakes_total{outcome="accepted"}')).toBe(1);
    expect(await value('cattery_tunnels_opened_total')).toBe(1);
    const stream = await link.request({ ':path': '/api/' }, { endStream: true });
    await once(stream, 'response');
    await reaches('cattery_streams', 1);
    stream.destroy();
    const [bytesIn = 0, bytesOut = 0] = [
      await value('cattery_tunnel_bytes_total{direction="in"}'),
      await value('cattery_tunnel_bytes_total{direction="out"}'),
    ];
    expect(bytesIn).toBeGreaterThan(1_000);
    expect(bytesOut).toBeGreaterThan(1_000);
    await guardian.close();
    await reaches('cattery_tunnels', 0);
    expect(await value('cattery_tunnels_closed_total{reason="TRANSPORT_CLOSED"}')).toBe(1);
    // What an ended tunnel moved is not forgotten, and its log line says the same.
    const closed = tunnel.lines.find(({ event }) => event === 'tunnel closed');
    expect(closed).toMatchObject({ reason: 'TRANSPORT_CLOSED', streams: { ours: 1, theirs: 0 } });
    expect(closed?.durationMs).toBeGreaterThanOrEqual(0);
    expect(await value('cattery_tunnel_bytes_total{direction="in"}')).toBe(closed?.bytesIn);
    expect(await value('cattery_tunnel_bytes_total{direction="out"}')).toBe(closed?.bytesOut);
    expect(closed?.bytesIn).toBeGreaterThanOrEqual(bytesIn);
  });

  test('count each refusal by its reason, handshakes that fail, and those that are parked', async () => {
    await connect();
    await connect({ pair: await tunnel.ca.issue({ usage: 'client' }) });
    await reaches('cattery_refusals_total{reason="CERTIFICATE_UNKNOWN"}', 1);
    await reaches('cattery_refusals_total{reason="NO_CERTIFICATE"}', 1);
    await reaches('cattery_handshakes_total{outcome="refused"}', 2);
    const socket = connectTcp(tunnel.port, '127.0.0.1').on('error', () => undefined);
    socket.end('this is no TLS\r\n\r\n');
    await reaches('cattery_handshakes_total{outcome="failed"}', 1);
    await reaches('cattery_handshakes_in_flight', 0);
    await reaches('cattery_refused_parked', 0);
  });

  test('count what the directory and S3 do not answer, by operation', async () => {
    const guardian = await connect({ pair: await tunnel.register() });
    await tunnel.link();
    tunnel.directory.failing = true;
    tunnel.logs.failing = true;
    await connect({ pair: await tunnel.ca.issue({ usage: 'client' }) });
    await reaches('cattery_directory_errors_total{operation="find"}', 1);
    await guardian.post('{"Key":{},"start_time":1,"end_time":2}');
    await reaches('cattery_storage_errors_total{use="flows"}', 1);
    await reaches('cattery_ingest_uploads_total{outcome="store-failed"}', 1);
    expect(await value('cattery_directory_errors_total{operation="revokedSince"}')).toBeGreaterThan(0);
    expect(await value('cattery_revocations_age_seconds')).toBeGreaterThan(0);
    tunnel.directory.failing = false;
    await guardian.close();
  });

  test('count tunnels that came in from memory while the directory did not answer, and log them as such', async () => {
    const pair = await tunnel.register();
    const guardian = await connect({ pair });
    await tunnel.link();
    await guardian.close();
    await reaches('cattery_tunnels', 0);
    tunnel.directory.failing = true;
    const again = await connect({ pair });
    await reaches('cattery_stale_admissions_total', 1);
    expect(tunnel.lines.filter(({ event }) => event === 'tunnel opened').map(({ stale }) => stale)).toEqual([
      undefined,
      true,
    ]);
    // What was revoked meanwhile is cut as soon as it can be known.
    tunnel.directory.revoke(pair);
    tunnel.directory.failing = false;
    await again.ended;
    expect(tunnel.closed()).toEqual(['TRANSPORT_CLOSED', 'CERTIFICATE_REVOKED']);
  });

  test('count uploads, their bytes, their lines and those that are no flow', async () => {
    const guardian = await connect({ pair: await tunnel.register() });
    const body =
      '{"Key":{},"start_time":1,"end_time":2}\n{"Key":{},"start_time":2,"end_time":3}\n{"flow": "no such, as it has neither"}\n';
    expect((await guardian.post(body)).status).toBe(200);
    await reaches('cattery_ingest_uploads_total{outcome="stored"}', 1);
    expect(await value('cattery_ingest_bytes_total')).toBe(body.length);
    expect(await value('cattery_ingest_lines_total{outcome="stored"}')).toBe(2);
    const malformed = [...(await series())].filter(([name]) =>
      name.startsWith('cattery_ingest_malformed_lines'),
    );
    expect(malformed.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
    await guardian.close();
  });

  test('count requests by status class, and time those that end by themselves', async () => {
    const { onRequest, onDropped } = tunnel.access;
    onRequest?.({ status: 200, durationMs: 30, endless: false });
    onRequest?.({ status: 404, durationMs: 2, endless: false });
    onRequest?.({ status: 200, durationMs: 3_600_000, endless: true });
    onRequest?.({ status: undefined, durationMs: 5, endless: false });
    onDropped?.();
    const found = await series();
    expect(found.get('cattery_requests_total{status="2xx"}')).toBe(2);
    expect(found.get('cattery_requests_total{status="4xx"}')).toBe(1);
    expect(found.get('cattery_requests_total{status="none"}')).toBe(1);
    expect(found.get('cattery_request_seconds_count{status="2xx"}')).toBe(1);
    expect(found.get('cattery_request_seconds_bucket{le="0.05",status="2xx"}')).toBe(1);
    expect(found.get('cattery_access_dropped_total')).toBe(1);
  });

  test('tell the days to expiry of every certificate, and follow a new one', async () => {
    const day = 86_400_000;
    for (const name of ['tunnel', 'access', 'log_endpoint', 'peer']) {
      expect(await value(`cattery_certificate_days{certificate="${name}"}`)).toBeCloseTo(1, 1);
    }
    const renewed = await tunnel.ca.issue({ usage: 'server', notAfter: Date.now() + 40 * day });
    tunnel.secret.certificates = { ...tunnel.secret.certificates, tunnel: renewed };
    tunnel.secret.versionId = '2';
    const end = Date.now() + 10_000;
    for (;;) {
      const days = await value('cattery_certificate_days{certificate="tunnel"}');
      if (days !== undefined && days > 39) break;
      expect(Date.now()).toBeLessThan(end);
    }
  });

  test('tell how late the event loop is and what the process holds', async () => {
    const found = await series();
    expect(found.get('cattery_resident_memory_bytes')).toBeGreaterThan(10_000_000);
    for (const statistic of ['mean', 'p99', 'max']) {
      expect(found.get(`cattery_event_loop_delay_seconds{statistic="${statistic}"}`)).toBeGreaterThanOrEqual(
        0,
      );
    }
  });

  test('name no address, no cluster, no tenant, no certificate', async () => {
    const pair = await tunnel.register();
    const guardian = await connect({ pair });
    await connect();
    await guardian.post('{"Key":{},"start_time":1,"end_time":2}');
    await reaches('cattery_refusals_total{reason="NO_CERTIFICATE"}', 1);
    const all = await text();
    for (const secret of [tenantA, clusterA, pair.fingerprint, '127.0.0.1', 'task-1']) {
      expect(all).not.toContain(secret);
    }
    await guardian.close();
  });

  test('are written once more at the end, with what the end itself did', async () => {
    await connect({ pair: await tunnel.register() });
    await tunnel.link();
    await tunnel.close();
    expect(tunnel.figures).toHaveLength(1);
    expect(JSON.parse(tunnel.figures[0] ?? '')).toMatchObject({
      service: 'tunnel',
      Tunnels: 0,
      TunnelsOpened: 1,
      'TunnelsClosed.SHUTDOWN': 1,
    });
    await expect(fetch(`http://127.0.0.1:${tunnel.server.ports.metrics}/metrics`)).rejects.toThrow();
  });

  test('are on a port of their own: the health port knows nothing of them, nor theirs of health', async () => {
    const { health, metrics } = tunnel.server.ports;
    expect((await fetch(`http://127.0.0.1:${health}/metrics`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${metrics}/ready`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${metrics}/metrics`, { method: 'POST' })).status).toBe(405);
  });

  test('of round trips come from every live tunnel', async () => {
    const quick = await startTunnel({ sampleMs: 10, agent: { tunnel: { pingIntervalMs: 10 } } });
    const guardian = await TestGuardian.connect({
      port: quick.port,
      roots: quick.roots,
      pair: await quick.register(),
    });
    await until(() => (quick.server.tunnels.get(clusterA)?.rttMs ?? 0) > 0);
    const end = Date.now() + 10_000;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${quick.server.ports.metrics}/metrics`);
      const count = seriesOf(await answer.text()).get('cattery_ping_rtt_seconds_count') ?? 0;
      if (count > 2) break;
      expect(Date.now()).toBeLessThan(end);
    }
    await guardian.close();
    await quick.close();
  });
});
