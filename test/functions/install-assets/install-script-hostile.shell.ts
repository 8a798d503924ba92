/** install.sh where somebody else has written into the cluster, changes it meanwhile, or has set this machine up oddly. */
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fingerprintOfPem } from '../../../functions/registration/cluster-certificate.ts';
import type { KubeObject } from './script/kubectl-output.ts';
import { onPath, shellsHere } from './script/shells.ts';
import { Workbench } from './script/workbench.ts';

const possible = (['curl', 'openssl'] as const).every((tool) => onPath(tool) !== undefined);
if (!possible)
  console.log('curl or openssl is missing: what install.sh makes of odd surroundings is not tried');
const shells = possible ? shellsHere() : [];
const shell = shells.find(({ name }) => name === 'dash') ?? shells[0];

const base64 = (text: string) => Buffer.from(text).toString('base64');
const goldmane: KubeObject = {
  apiVersion: 'operator.tigera.io/v1',
  kind: 'Goldmane',
  metadata: { name: 'default' },
};

(shell ? describe : describe.skip)('install.sh in odd surroundings', () => {
  let bench: Workbench;
  beforeEach(async () => {
    if (!shell) throw new Error('There is no shell.');
    bench = await Workbench.open(shell);
    bench.cluster.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
    bench.cluster.react = () => bench.calicoIs('v3.32.1');
  });
  afterEach(async () => {
    try {
      expect(bench.cluster.unknown).toEqual([]);
      expect(bench.plane.badReports).toEqual([]);
      expect(readdirSync(bench.tmp)).toEqual([]);
    } finally {
      await bench.close();
    }
  });
  const run = (...more: readonly string[]) =>
    bench.run(['--ca-file', bench.plane.caFile, '--yes', '--name', 'shop', ...more], {
      environment: { CATTERY_TOKEN: bench.plane.token },
    });
  /** Beside the script's TMPDIR: its HOME. */
  const home = (name: string) => path.join(bench.tmp, '..', name);
  const identity = () => {
    const found = bench.cluster.find('secret', 'cattery-identity', 'cattery-system');
    if (!found) throw new Error('There is no identity.');
    return found;
  };
  const tunnelSecret = () =>
    bench.cluster.find('secret', 'tigera-managed-cluster-connection', 'tigera-operator')?.data;
  const kept = () => bench.cluster.find('configmap', 'cattery-install', 'cattery-system')?.data;

  test.each([
    [
      'a credential with a line for curl',
      (file: string) => ({ token: base64(`ccr_x"\noutput = "${file}`) }),
      {},
    ],
    ['an ID that is a path with a query', () => ({}), { clusterId: 'c-x/../../v1/releases?' }],
    ['a name that is more JSON', () => ({}), { clusterName: 'x","clusterName":"y' }],
    ['a kind that is options', () => ({}), { created: 'x --all' }],
  ])('%s, written into its state, is refused with 3', async (_, secret, data) => {
    const file = home('written');
    bench.cluster.put(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'cattery-system' } },
      {
        ...{ apiVersion: 'v1', kind: 'ConfigMap' },
        metadata: { name: 'cattery-install', namespace: 'cattery-system' },
        data: { apiUrl: bench.plane.url, clusterId: 'c-x', ...data },
      },
      {
        ...{ apiVersion: 'v1', kind: 'Secret' },
        metadata: { name: 'cattery-identity', namespace: 'cattery-system' },
        data: { 'managed-cluster.key': 'eA==', token: base64('ccr_x'), ...secret(file) },
      },
    );
    const { code, stdout } = await run('--uninstall');
    expect({ code, stdout }).toEqual({
      code: 3,
      stdout: expect.stringMatching(/FAIL +state: .*does not write there\n +remedy: /),
    });
    expect(existsSync(file)).toBe(false);
    expect(bench.plane.requests.filter(({ path: asked }) => asked !== '/healthz')).toEqual([]);
  });

  test('what the cluster says does not command the terminal', async () => {
    bench.cluster.unreachable = 'Unable to connect: \u001B]0;owned\u0007\u001B[2J\r\u0008';
    const { code, stdout, stderr } = await run('--check');
    expect(code).toBe(3);
    expect(stdout).toContain('Unable to connect: ]0;owned[2J');
    // eslint-disable-next-line no-control-regex -- these are what is looked for
    expect(stdout + stderr).not.toMatch(/[\u0000-\u0008\u000B-\u001F\u007F]/);
  });

  test('a .curlrc that would show credentials and mix up answers is not read', async () => {
    writeFileSync(home('.curlrc'), `verbose\ninclude\ntrace-ascii = ${home('trace')}\n`);
    expect(await run()).toMatchObject({ code: 0, stderr: '' });
    expect(existsSync(home('trace'))).toBe(false);
  }, 60_000);

  test('traced, it shows no credential', async () => {
    await bench.close();
    bench = await Workbench.open({ name: 'traced', command: [...(shell?.command ?? []), '-x'] });
    bench.cluster.react = () => bench.calicoIs('v3.32.1');
    const { code, stderr } = await run();
    expect(code).toBe(0);
    expect(stderr).toContain('+ set');
    expect(stderr).not.toMatch(/cc?r_|crt_/);
  }, 60_000);

  test('a registration answered with a page ends with 4, and the same command goes on', async () => {
    bench.plane.instead = ({ path: asked }) =>
      asked === '/v1/registrations' ? { status: 201, body: '<html>Welcome</html>' } : undefined;
    expect(await run()).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('no answer to a registration'),
    });
    bench.plane.instead = () => undefined;
    expect(await run()).toMatchObject({ code: 0 });
  }, 60_000);

  test('a renewal does not replace the key of another that began at the same moment', async () => {
    expect(await run()).toMatchObject({ code: 0 });
    const before = tunnelSecret();
    // The other one is faster, between this one's look and its writing.
    bench.plane.instead = ({ method, path: asked }) => {
      if (method === 'GET' && asked.startsWith('/v1/clusters/') && !('next.key' in (identity().data ?? {})))
        bench.cluster.put({ ...identity(), data: { ...identity().data, 'next.key': base64('theirs') } });
      return undefined;
    };
    const { code, stderr } = await run('--renew');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /new key cannot be kept.*modified.*\n +remedy: Another run .* was faster/,
      ),
    });
    expect(identity().data?.['next.key']).toBe(base64('theirs'));
    expect(tunnelSecret()).toEqual(before);
  }, 60_000);

  test('a renewal behind another one does not take the new certificate for the old one', async () => {
    expect(await run()).toMatchObject({ code: 0 });
    const inUse = [...bench.plane.clusters.values()][0]?.certificates[0] ?? '';
    // As the other one leaves it: its key is not yet the cluster's, its certificate is in the operator's Secret.
    const { 'managed-cluster.key': key = '' } = identity().data ?? {};
    bench.cluster.put({ ...identity(), data: { ...identity().data, 'next.key': key } });
    bench.plane.instead = ({ path: asked }) =>
      asked.endsWith('/certificates')
        ? {
            status: 201,
            type: 'application/json',
            body: JSON.stringify({ certificate: inUse, fingerprint: fingerprintOfPem(inUse) }),
          }
        : undefined;
    const { code, stderr } = await run('--renew');
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/Another run renews this/) });
    expect(kept()?.retiring ?? '').toBe('');
    expect(bench.plane.requests.filter(({ method }) => method === 'DELETE')).toEqual([]);
  }, 60_000);

  test('what somebody else has added to Calico since the preflight is theirs, and stays', async () => {
    bench.installCalico();
    bench.plane.instead = ({ path: asked }) => {
      if (asked === '/v1/registrations') bench.cluster.put(goldmane);
      return undefined;
    };
    expect(await run()).toMatchObject({ code: 0 });
    expect(bench.cluster.find('goldmane', 'default')?.metadata.labels).toBeUndefined();
    expect(await run('--uninstall')).toMatchObject({ code: 0 });
    expect(bench.cluster.find('goldmane', 'default')).toBeDefined();
    for (const kind of ['apiserver', 'whisker']) expect(bench.cluster.find(kind, 'default')).toBeUndefined();
  }, 60_000);

  test('an uninstall that cannot read the connection stops before it disconnects, and goes on later', async () => {
    expect(await run()).toMatchObject({ code: 0 });
    bench.plane.instead = ({ body }) => {
      if (body.includes('"uninstall"')) bench.cluster.unreachable = 'Unable to connect to the server: EOF';
      return undefined;
    };
    expect(await run('--uninstall')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot be read'),
    });
    expect(bench.plane.clusters.size).toBe(1);
    bench.cluster.unreachable = undefined;
    bench.plane.instead = () => undefined;
    expect(await run('--uninstall')).toMatchObject({ code: 0 });
    expect(bench.cluster.find('managementclusterconnection', 'tigera-secure')).toBeUndefined();
    expect(bench.plane.clusters.size).toBe(0);
  }, 60_000);

  test('an uninstall asks for the rights to its last steps before its first', async () => {
    expect(await run()).toMatchObject({ code: 0 });
    bench.cluster.denied.push('* *', 'delete clusterrolebindings');
    expect(await run('--uninstall')).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/FAIL +rights: missing: delete clusterrolebindings/),
    });
    expect(bench.plane.clusters.size).toBe(1);
  }, 60_000);

  test('a clock that is set back does not make a wait longer', async () => {
    const clock = home('bin/date');
    rmSync(clock);
    const date = onPath('date') ?? '';
    writeFileSync(
      clock,
      [
        '#!/bin/sh',
        // Some looks later, the wait has begun.
        'if [ -e "$STAND_IN/waits" ] && echo >>"$STAND_IN/waits" && [ $(($(wc -l <"$STAND_IN/waits"))) -gt 6 ]; then',
        `  echo $(($(${date} +%s) - 3600))`,
        `else exec ${date} "$@"; fi\n`,
      ].join('\n'),
    );
    chmodSync(clock, 0o755);
    bench.cluster.react = () => undefined;
    bench.plane.instead = ({ body }) => {
      if (body.includes('"calico","state":"running"')) writeFileSync(home('waits'), '');
      return undefined;
    };
    expect(await run('--timeout', '4')).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('not within 4 seconds'),
    });
  }, 40_000);

  test('a proxy that openssl does not know is not held against the tunnel', async () => {
    const script = (await bench.plane.script()).replace(
      bench.plane.tunnelAddress,
      bench.plane.tunnelAddress.replace('127.0.0.1', 'localhost'),
    );
    const { code, stdout } = await bench.run(['--ca-file', bench.plane.caFile, '--check'], {
      script,
      environment: { https_proxy: 'socks5://127.0.0.1:1', NO_PROXY: '127.0.0.1' },
    });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/warn +tunnel: localhost:\d+ was not tried.*http:\/\/ proxies only/),
    });
  });
});
