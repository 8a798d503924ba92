import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fingerprint } from '../../../core/certificate/fingerprint.ts';
import { makeServerCertificates } from '../certificates.ts';
import { TestGuardian } from '../guardian.ts';
import {
  closing,
  clusterA,
  clusterB,
  FakeDirectory,
  type Fixture,
  startTunnel,
  tenantA,
  tenantB,
  until,
} from '../tunnel-fixture.ts';

describe('the life of a tunnel', () => {
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
    const guardian = await TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots, ...options });
    guardians.push(guardian);
    return guardian;
  }

  test('is announced when it is up, withdrawn when it is over, and logged once each with its reason', async () => {
    const guardian = await connect({ pair: await tunnel.register() });
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'connected');
    expect(tunnel.directory.tunnels.get(clusterA)).toMatchObject({ taskId: 'task-1' });
    await guardian.close();
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'disconnected');
    const lines = tunnel.lines.filter(({ event }) => event === 'tunnel opened' || event === 'tunnel closed');
    expect(lines).toMatchObject([
      { event: 'tunnel opened', tenantId: tenantA, clusterId: clusterA },
      { event: 'tunnel closed', tenantId: tenantA, clusterId: clusterA, reason: 'TRANSPORT_CLOSED' },
    ]);
  });

  test('the newest session of a cluster wins; the old one is closed cleanly: REPLACED', async () => {
    const pair = await tunnel.register();
    const old = await connect({ pair });
    const before = await tunnel.link();
    let failure: unknown;
    old.socket.on('error', (error: Error) => void (failure = error));
    await connect({ pair });
    await old.ended;
    expect(failure).toBeUndefined();
    expect(tunnel.closed()).toEqual(['REPLACED']);
    const link = await tunnel.link();
    expect(link).not.toBe(before);
    const stream = await link.request({ ':path': '/api/' }, { endStream: true });
    await once(stream, 'response');
    stream.destroy();
    // The old one's withdrawal must not take the new one's entry.
    await until(() => (tunnel.directory.tunnels.get(clusterA)?.nonce ?? 0) > before.openedAt);
    expect(tunnel.directory.tunnels.get(clusterA)?.state).toBe('connected');
  });

  test('a revocation cuts the live tunnel of that certificate, cleanly, and no other: CERTIFICATE_REVOKED', async () => {
    const pair = await tunnel.register();
    const revoked = await connect({ pair });
    const other = await connect({
      pair: await tunnel.register({ tenantId: tenantB, clusterId: clusterB }),
    });
    await tunnel.link(clusterA);
    await tunnel.link(clusterB);
    let failure: unknown;
    revoked.socket.on('error', (error: Error) => void (failure = error));
    tunnel.directory.revoke(pair);
    await revoked.ended;
    expect(failure).toBeUndefined();
    expect(tunnel.closed()).toEqual(['CERTIFICATE_REVOKED']);
    expect(other.session.closed).toBe(false);
    expect(await other.session.ping()).toBeGreaterThan(0);
  });

  test('after a revocation requests do not wait for the cluster; after a mere loss they do, until it is back', async () => {
    const pair = await tunnel.register();
    const guardian = await connect({ pair });
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'connected');
    const route = async (waitMs: number) => (await tunnel.access.router?.route(clusterA, { waitMs }))?.kind;
    await guardian.close();
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'disconnected');
    const waiting = route(60_000);
    const again = await connect({ pair });
    expect(await waiting).toBe('link');

    tunnel.directory.revoke(pair);
    await again.ended;
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'disconnected');
    expect(tunnel.server.tunnels.wasRevoked(clusterA)).toBe(true);
    // Longer than the test may take.
    expect(await route(60_000)).toBe('absent');

    await connect({ pair: await tunnel.register() });
    await tunnel.link();
    expect(tunnel.server.tunnels.wasRevoked(clusterA)).toBe(false);
    expect(await route(0)).toBe('link');
  });

  test('a revocation of a former certificate leaves the tunnel of the present one', async () => {
    const former = await tunnel.register();
    const guardian = await connect({ pair: await tunnel.register() });
    await tunnel.link();
    tunnel.directory.revoke(former);
    const { since } = tunnel.directory;
    await until(() => tunnel.directory.since > since);
    expect(guardian.session.closed).toBe(false);
  });

  test('a directory that fails for a while cuts nobody, and what was revoked meanwhile is cut afterwards', async () => {
    const pair = await tunnel.register();
    const guardian = await connect({ pair });
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'connected');
    tunnel.directory.failing = true;
    tunnel.directory.revoke(pair);
    const asked = tunnel.directory.asked;
    await until(() => tunnel.directory.asked > asked + 2);
    expect(guardian.session.closed).toBe(false);
    tunnel.directory.failing = false;
    await guardian.ended;
    expect(tunnel.closed()).toEqual(['CERTIFICATE_REVOKED']);
  });

  test('a tunnel ends with its certificate: CERTIFICATE_EXPIRED', async () => {
    const guardian = await connect({ pair: await tunnel.register({ notAfter: Date.now() + 300 }) });
    await tunnel.link();
    await guardian.ended;
    expect(tunnel.closed()).toEqual(['CERTIFICATE_EXPIRED']);
  });

  test('a new certificate of ours is presented without dropping a tunnel', async () => {
    const pair = await tunnel.register();
    const guardian = await connect({ pair });
    await tunnel.link();
    const fresh = await makeServerCertificates(tunnel.ca);
    tunnel.secret.certificates = fresh;
    tunnel.secret.versionId = '2';
    await until(() => tunnel.access.reloads === 1);
    expect(tunnel.access.certificates).toEqual([expect.any(String), fresh.access.certificate]);

    const stranger = await connect();
    expect(fingerprintOf(stranger.socket.getPeerX509Certificate())).toBe(fresh.tunnel.fingerprint);
    const log = await guardian.logStream();
    expect(fingerprintOf(log.getPeerX509Certificate())).toBe(fresh.logEndpoint.fingerprint);
    log.destroy();
    expect(guardian.session.closed).toBe(false);
    const stream = await (await tunnel.link()).request({ ':path': '/api/' }, { endStream: true });
    await once(stream, 'response');
    stream.destroy();
  });

  test('a bad new value of the secret keeps the old certificates and is logged', async () => {
    const old = tunnel.secret.certificates;
    const other = await makeServerCertificates(tunnel.ca);
    tunnel.secret.certificates = { ...other, access: { ...other.access, key: other.tunnel.key } };
    tunnel.secret.versionId = '2';
    await until(() => tunnel.lines.some(({ level }) => level === 50));
    expect(JSON.stringify(tunnel.lines)).not.toContain('PRIVATE KEY');
    const guardian = await connect();
    expect(fingerprintOf(guardian.socket.getPeerX509Certificate())).toBe(old.tunnel.fingerprint);
    expect(tunnel.access.reloads).toBe(0);
  });

  test('a connection that never shakes hands is dropped after the timeout, and hinders nobody', async () => {
    const quick = await startTunnel({ agent: { handshakeTimeoutMs: 80 } });
    const silent = connectTcp(quick.port, '127.0.0.1');
    await once(silent, 'connect');
    const guardian = await TestGuardian.connect({
      port: quick.port,
      roots: quick.roots,
      pair: await quick.register(),
    });
    await quick.link();
    await closing(silent);
    await guardian.close();
    await quick.close();
  });

  test('handshakes beyond the bound are dropped at once; when the others are gone, clusters come in', async () => {
    const narrow = await startTunnel({
      agent: {
        handshakeTimeoutMs: 60_000,
        pace: { maxInFlight: 2, maxPerAddress: 2, startsPerInterval: 1, intervalMs: 5 },
      },
    });
    const silent = [1, 2, 3].map(() => connectTcp(narrow.port, '127.0.0.1'));
    for (const socket of silent) socket.on('error', () => undefined);
    await Promise.race(silent.map((socket) => closing(socket)));
    expect(silent.filter(({ destroyed }) => destroyed)).toHaveLength(1);
    for (const socket of silent) socket.destroy();
    const pair = await narrow.register();
    const connected = async () => {
      for (;;) {
        const guardian = await TestGuardian.connect({ port: narrow.port, roots: narrow.roots, pair }).catch(
          () => undefined,
        );
        if (guardian) return guardian;
      }
    };
    const guardian = await connected();
    await narrow.link();
    await guardian.close();
    await narrow.close();
  });

  test('silent connections of one address keep no cluster of another out', async () => {
    const narrow = await startTunnel({
      agent: {
        handshakeTimeoutMs: 60_000,
        pace: { maxInFlight: 100, maxPerAddress: 2, startsPerInterval: 4, intervalMs: 5 },
      },
    });
    const silent = Array.from({ length: 10 }, () =>
      connectTcp({ port: narrow.port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on(
        'error',
        () => undefined,
      ),
    );
    await until(() => silent.filter(({ destroyed }) => destroyed).length === 8);
    const guardian = await connect({
      port: narrow.port,
      roots: narrow.roots,
      pair: await narrow.register(),
    });
    await narrow.link();
    expect(silent.filter(({ destroyed }) => destroyed)).toHaveLength(8);
    for (const socket of silent) socket.destroy();
    await guardian.close();
    await narrow.close();
  });

  test('garbage instead of frames ends that tunnel only', async () => {
    const pair = await tunnel.register();
    const guardian = await connect({ pair });
    await tunnel.link();
    guardian.socket.write('GET / HTTP/1.1\r\n\r\n');
    await until(() => tunnel.closed().length === 1);
    expect(tunnel.closed()).toEqual(['BAD_VERSION']);
    await connect({ pair });
    await tunnel.link();
  });
});

describe('a herd of clusters', () => {
  test('comes in whole, one tunnel each', async () => {
    const directory = new FakeDirectory();
    const tunnel = await startTunnel({ directory });
    const ids = Array.from(
      { length: 40 },
      (_, index) =>
        `c-${String(index)
          .padStart(20, 'a')
          .replace(/\d/g, (d) => 'bcdefghijk'[Number(d)] ?? 'a')}`,
    );
    const guardians = await Promise.all(
      ids.map(async (clusterId) =>
        TestGuardian.connect({
          port: tunnel.port,
          roots: tunnel.roots,
          pair: await tunnel.register({ clusterId }),
        }),
      ),
    );
    await until(() => tunnel.server.tunnels.size === ids.length);
    await Promise.all(guardians.map((guardian) => guardian.close()));
    await until(() => [...directory.tunnels.values()].every(({ state }) => state === 'disconnected'));
    expect(directory.tunnels.size).toBe(ids.length);
    await tunnel.close();
  });
});

const fingerprintOf = (certificate: X509Certificate | undefined) =>
  certificate && fingerprint(certificate.raw);
