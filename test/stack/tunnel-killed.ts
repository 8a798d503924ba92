/** kill -9 of the tunnel server. */
import { expect, test } from '@jest/globals';
import { eventually } from './poll.ts';
import type { Stack } from './stack.ts';

export function tunnelKilled(stack: () => Stack): void {
  test('after a kill -9 of the tunnel server the demo cluster is reachable within 10 s of its restart', async () => {
    const { access, demoClusterId } = stack();
    const pods = `/clusters/${demoClusterId}/api/v1/pods`;
    expect((await access.get(pods)).status).toBe(200);
    const killed = await stack().tunnelPid();
    process.kill(killed, 'SIGKILL');
    await eventually('it runs again', 10_000, async () => {
      const pid = await stack()
        .tunnelPid()
        .catch(() => killed);
      return pid !== killed;
    });
    const restarted = performance.now();
    await eventually('the cluster is reachable', 15_000, async () => {
      const answer = await access.get(pods).catch(() => undefined);
      return answer?.status === 200;
    });
    expect(performance.now() - restarted).toBeLessThan(10_000);
  }, 60_000);
}
