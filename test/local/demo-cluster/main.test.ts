import type { ChildProcess } from 'node:child_process';
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { RegistrationApi } from './registration-api.ts';
import { startRegistrationApi } from './registration-api.ts';
import type { TunnelServer } from './tunnel-server.ts';
import { startTunnelServer, tunnelName } from './tunnel-server.ts';

const main = join(import.meta.dirname, '../../../local/demo-cluster/main.ts');
type Line = { event: string; [detail: string]: unknown };

describe('the demo cluster as a process', () => {
  let api: RegistrationApi;
  let tunnel: TunnelServer;
  let directory: string;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cattery-demo-'));
    api = await startRegistrationApi();
    tunnel = await startTunnelServer(await api.ca.issue([tunnelName]));
    api.tunnelAddress = tunnel.address;
    await writeFile(join(directory, 'ca.pem'), api.ca.pem);
    await writeFile(join(directory, 'token'), 'crt_secret-token\n');
  });
  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await tunnel.close();
    await api.close();
    await rm(directory, { recursive: true });
  });

  const args = () => [
    ...[
      '--api-url',
      api.url,
      '--ca-file',
      join(directory, 'ca.pem'),
      '--token-file',
      join(directory, 'token'),
    ],
    ...['--directory', join(directory, 'cluster'), '--cluster-name', 'demo', '--life-interval-ms', '50'],
  ];

  function linesOf(started: ChildProcess): {
    all: string[];
    until: (event: string, detail?: object) => Promise<Line>;
  } {
    const all: string[] = [];
    if (!started.stdout) throw new Error('no output to read');
    const reader = createInterface({ input: started.stdout });
    const iterator = reader[Symbol.asyncIterator]();
    return {
      all,
      until: async (event, detail = {}) => {
        for (;;) {
          const { value, done } = await iterator.next();
          if (done) throw new Error(`the process ended before "${event}": ${all.join('\n')}`);
          all.push(value);
          const line = JSON.parse(value) as Line;
          if (line.event === event && Object.entries(detail).every(([key, wanted]) => line[key] === wanted))
            return line;
        }
      },
    };
  }

  test('enrols, connects, serves the tunnel, and ends cleanly within a second of SIGTERM; a restart is the same cluster', async () => {
    child = spawn(process.execPath, [main, ...args()], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = linesOf(child);
    expect(await lines.until('enrolled')).toMatchObject({
      clusterName: 'demo',
      fresh: true,
      tunnelAddress: tunnel.address,
    });
    await lines.until('tunnel', { phase: 'connected' });
    const { session } = await tunnel.session();
    const reason = new Promise<string | undefined>((resolve) =>
      session.on('close', (error) => resolve(error?.code)),
    );
    const begun = performance.now();
    child.kill('SIGTERM');
    await lines.until('stopped');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(await reason).toBe('TRANSPORT_CLOSED');
    expect(lines.all.join('\n')).not.toMatch(/crt_secret|ccr_secret|PRIVATE/);

    child = spawn(process.execPath, [main, ...args()], { stdio: ['ignore', 'pipe', 'inherit'] });
    const again = linesOf(child);
    expect(await again.until('enrolled')).toMatchObject({ fresh: false });
    await tunnel.session(1);
    expect(api.received).toHaveLength(1);
  });

  test('ends when its parent is gone, so that no orphan holds the tunnel', async () => {
    child = fork(main, args(), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], execArgv: [] });
    const lines = linesOf(child);
    await lines.until('tunnel', { phase: 'connected' });
    child.disconnect();
    await lines.until('stopped');
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(0);
  });

  test('says in one line why it failed, and exits with 1', async () => {
    api.behaviours.push({ status: 409, body: { code: 'TOKEN_SPENT' } });
    child = spawn(process.execPath, [main, ...args()], { stdio: ['ignore', 'pipe', 'inherit'] });
    expect(await linesOf(child).until('failed')).toMatchObject({ code: 'REFUSED', problem: 'TOKEN_SPENT' });
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(1);
  });
});
