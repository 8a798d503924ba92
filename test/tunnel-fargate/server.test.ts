import { get } from 'node:http';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { startServer } from '../../tunnel-fargate/server.ts';
import { FakeAuditSink } from './audit/audit-fixture.ts';
import { TestGuardian } from './guardian.ts';
import {
  clusterA,
  FakeAccess,
  FakeDirectory,
  FakeLogs,
  recordingLogger,
  startTunnel,
  until,
} from './tunnel-fixture.ts';

function status(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

describe('the tunnel server', () => {
  test('says that it lives and is ready; knows no other path', async () => {
    const tunnel = await startTunnel();
    const { health } = tunnel.server.ports;
    expect(await status(health, '/live')).toBe(200);
    expect(await status(health, '/ready')).toBe(200);
    expect(await status(health, '/')).toBe(404);
    await tunnel.close();
    await expect(status(health, '/live')).rejects.toThrow();
  });

  test('lives before it is ready: not while it still waits for what it needs', async () => {
    const probe = createServer();
    probe.listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const directory = new FakeDirectory();
    let answers: (() => void) | undefined;
    const held = new Promise<void>((resolve) => (answers = resolve));
    const renew = directory.renewLease.bind(directory);
    directory.renewLease = async (lease) => {
      await held;
      return renew(lease);
    };
    const starting = startTunnel({
      directory,
      listen: { host: '127.0.0.1', tunnelPort: 0, accessPort: 0, healthPort: port, metricsPort: 0 },
    });
    for (;;) {
      const live = await status(port, '/live').catch(() => undefined);
      if (live === 200) break;
    }
    expect(await status(port, '/ready')).toBe(503);
    answers?.();
    const tunnel = await starting;
    expect(await status(port, '/ready')).toBe(200);
    await tunnel.close();
  });

  test('stays ready while the directory fails: live tunnels must not go with it', async () => {
    const tunnel = await startTunnel({ leaseRenewMs: 20 });
    tunnel.directory.failing = true;
    await until(() => tunnel.lines.some(({ level }) => level === 50));
    expect(await status(tunnel.server.ports.health, '/ready')).toBe(200);
    tunnel.directory.failing = false;
    await tunnel.close();
  });

  test('drains in order: not ready, no new tunnels, users, uploads, tunnels, directory', async () => {
    const tunnel = await startTunnel();
    const { health } = tunnel.server.ports;
    const guardian = await TestGuardian.connect({
      port: tunnel.port,
      roots: tunnel.roots,
      pair: await tunnel.register(),
    });
    await until(() => tunnel.directory.tunnels.get(clusterA)?.state === 'connected');
    const link = await tunnel.link();
    let failure: unknown;
    guardian.socket.on('error', (error: Error) => void (failure = error));

    const steps: string[] = [];
    let usersDone: (() => void) | undefined;
    tunnel.access.onDrain = async () => {
      steps.push('users');
      await new Promise<void>((resolve) => (usersDone = resolve));
    };
    let stored: (() => void) | undefined;
    tunnel.logs.hold = new Promise((resolve) => (stored = resolve));
    const upload = guardian.post('{"start_time":1}');
    await until(() => tunnel.logs.waiting === 1);

    const drained = tunnel.server.drain(100_000).then(() => steps.push('drained'));
    await until(() => usersDone !== undefined);
    expect(tunnel.access.drainedFor).toBe(100_000);
    expect(await status(health, '/ready')).toBe(503);
    expect(await status(health, '/live')).toBe(200);
    await expect(TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots })).rejects.toThrow();
    // Users' requests still go through.
    const stream = await link.request({ ':path': '/api/' }, { endStream: true });
    await once(stream, 'response');
    stream.destroy();
    usersDone?.();

    await until(() => steps.length === 1);
    expect(guardian.session.closed).toBe(false);
    stored?.();
    expect((await upload).status).toBe(200);
    expect(tunnel.logs.objects).toHaveLength(1);

    await guardian.ended;
    expect(failure).toBeUndefined();
    await drained;
    expect(steps).toEqual(['users', 'drained']);
    expect(tunnel.closed()).toEqual(['SHUTDOWN']);
    expect(tunnel.directory.tunnels.get(clusterA)?.state).toBe('disconnected');
    expect(tunnel.directory.leases.get('task-1')?.validUntil).toBeLessThanOrEqual(Date.now());
  });

  test('keeps its lease, and a task that dies without a word loses it', async () => {
    const tunnel = await startTunnel({ leaseRenewMs: 20, leaseValidMs: 1_000 });
    const first = tunnel.directory.leases.get('task-1')?.validUntil ?? 0;
    await until(() => (tunnel.directory.leases.get('task-1')?.validUntil ?? 0) > first);
    expect(tunnel.directory.leases.get('task-1')?.validUntil).toBeLessThanOrEqual(Date.now() + 1_000);
    await tunnel.close();
  });

  test.each([
    ['the secret cannot be read', { failingSecret: true }],
    ['the directory does not answer', { failingDirectory: true }],
  ] as const)('does not start when %s, and leaves nothing open', async (_case, faults) => {
    const directory = new FakeDirectory();
    const access = new FakeAccess();
    const { secret } = await startTunnel().then(async (tunnel) => {
      await tunnel.close();
      return tunnel;
    });
    directory.failing = 'failingDirectory' in faults;
    const { logger } = recordingLogger();
    const starting = startServer(
      {
        certificates: {
          read: () =>
            'failingSecret' in faults ? Promise.reject(new Error('no such secret')) : Promise.resolve(secret),
        },
        certificateDirectory: directory,
        tunnelDirectory: directory,
        clusters: { find: () => Promise.resolve(undefined) },
        accessRules: { all: () => Promise.resolve([]) },
        logs: new FakeLogs(),
        audit: new FakeAuditSink(),
        verify: () => Promise.reject(new Error('nobody')),
        refresh: (caller) => Promise.resolve(caller),
        startAccess: access.start,
        logger,
        taskId: 'task-2',
        now: Date.now,
        random: Math.random,
      },
      { listen: { host: '127.0.0.1', tunnelPort: 0, accessPort: 0, healthPort: 0, metricsPort: 0 } },
    );
    await expect(starting).rejects.toThrow(/no such secret|does not answer/);
    expect(access.router).toBeUndefined();
  });
});
