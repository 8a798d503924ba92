import { afterEach, describe, expect, test } from '@jest/globals';
import { defaultTenantLimits } from '../../../tunnel-fargate/limits/tenant-limits.ts';
import { TestGuardian } from '../guardian.ts';
import { closing, clusterA, clusterB, type Fixture, startTunnel, tenantB, until } from '../tunnel-fixture.ts';

const clusterC = `c-${'c'.repeat(20)}`;

describe('a tenant at its limit', () => {
  let tunnel: Fixture;
  const guardians: TestGuardian[] = [];
  afterEach(async () => {
    await Promise.all(guardians.splice(0).map((guardian) => guardian.close()));
    await tunnel.close();
  });

  async function connect(entry: Parameters<Fixture['register']>[0] = {}) {
    const pair = await tunnel.register(entry);
    const guardian = await TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots, pair });
    guardians.push(guardian);
    return { guardian, pair };
  }

  test('has its next tunnel parked and ended cleanly: TENANT_LIMIT; its others and other tenants’ come up', async () => {
    tunnel = await startTunnel({ limits: { ...defaultTenantLimits, tunnels: 1 } });
    const { pair } = await connect({ clusterId: clusterA });
    await tunnel.link(clusterA);
    const { guardian: refused } = await connect({ clusterId: clusterB });
    let failure: unknown;
    refused.socket.on('error', (error: Error) => void (failure = error));
    await refused.ended;
    expect([failure, tunnel.refused()]).toEqual([undefined, ['TENANT_LIMIT']]);
    expect(tunnel.server.tunnels.get(clusterB)).toBeUndefined();

    await connect({ clusterId: clusterC, tenantId: tenantB });
    await tunnel.link(clusterC);
    // A cluster that comes back replaces its own tunnel.
    guardians.push(await TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots, pair }));
    await until(() => tunnel.closed().includes('REPLACED'));
    expect(tunnel.server.tunnels.get(clusterA)).toBeDefined();
  });

  test('may have another one when one has ended', async () => {
    tunnel = await startTunnel({ limits: { ...defaultTenantLimits, tunnels: 1 } });
    const { guardian } = await connect({ clusterId: clusterA });
    await tunnel.link(clusterA);
    await guardian.close();
    await until(() => tunnel.server.tunnels.get(clusterA) === undefined);
    await connect({ clusterId: clusterB });
    await tunnel.link(clusterB);
  });

  test('has streams of its clusters reset and counted, and no tunnel closed', async () => {
    tunnel = await startTunnel({ limits: { ...defaultTenantLimits, clusterStreams: 2 } });
    const { guardian } = await connect();
    await tunnel.link();
    const kept = [await guardian.logStream(), await guardian.logStream()];
    const refused = guardian.session.open();
    const errors: Error[] = [];
    refused.on('error', (error) => errors.push(error));
    refused.write('hello');
    await closing(refused);
    expect(errors).toMatchObject([{ code: 'STREAM_RESET' }]);
    expect(tunnel.server.limits.refused.clusterStreams).toBe(1);
    expect([guardian.session.closed, tunnel.closed()]).toEqual([false, []]);
    // What was let in works, and its end lets the next in.
    const [first] = kept;
    expect((await guardian.post('{"start_time":1}', first ? { socket: first } : {})).status).toBe(200);
    for (const stream of kept) stream.destroy();
    await until(() => tunnel.server.limits.refused.clusterStreams === 1);
    let uploaded = 0;
    while (uploaded !== 200) {
      uploaded = await guardian.post('{"start_time":2}').then(
        ({ status }) => status,
        () => 0,
      );
    }
  });
});
