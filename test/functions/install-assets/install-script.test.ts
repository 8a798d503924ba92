/** install.sh in every shell that is here, with a cluster and a control plane that stand in. Against real Kubernetes: test/kube. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { progressSteps } from '../../../core/cluster/progress-schema.ts';
import type { KubeObject } from './script/kubectl-output.ts';
import { onPath, shellsHere } from './script/shells.ts';
import { Workbench } from './script/workbench.ts';

const missing = (['curl', 'openssl'] as const).filter((tool) => onPath(tool) === undefined);
if (missing.length > 0) console.log(`${missing.join(' and ')} missing: install.sh is not tried`);
const shells = missing.length > 0 ? [] : shellsHere();
const source = readFileSync(
  path.resolve(import.meta.dirname, '../../../functions/install-assets/install.sh'),
  'utf8',
);
const withValue = [
  ...[
    '--token',
    '--token-file',
    '--name',
    '--context',
    '--ca-file',
    '--timeout',
    '--calico-version',
    '--pod-cidr',
  ],
  ...['--registry', '--image-path', '--image-pull-secret', '--image-pull-secret-file', '--https-proxy'],
  ...['--http-proxy', '--no-proxy'],
];
const options = [
  ...withValue,
  ...['--yes', '--check', '--dry-run', '--renew', '--uninstall', '--no-tunnel-check', '--help', '--version'],
];
const secretOf = ({ cluster }: Workbench, namespace: string, name: string, file: string): string =>
  Buffer.from(cluster.find('secret', name, namespace)?.data?.[file] ?? '', 'base64').toString('utf8');
const tunnelSecret = (bench: Workbench, file: string) =>
  secretOf(bench, 'tigera-operator', 'tigera-managed-cluster-connection', file);
const identity = (bench: Workbench, file: string) =>
  secretOf(bench, 'cattery-system', 'cattery-identity', file);
/** Whether the two belong together. */
const isPair = (certificate: string, key: string) =>
  new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));

(shells.length > 0 ? describe : describe.skip)('install.sh', () => {
  describe.each(shells)('in $name', (shell) => {
    let bench: Workbench;
    beforeAll(async () => {
      bench = await Workbench.open(shell);
      bench.cluster.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
      bench.cluster.react = () => bench.calicoIs('v3.32.1');
    });
    afterAll(() => bench.close());
    const untouched = () => {
      expect({ calls: bench.cluster.calls, requests: bench.plane.requests }).toEqual({
        calls: [],
        requests: [],
      });
      expect(readdirSync(bench.tmp)).toEqual([]);
    };
    const run = (...given: readonly string[]) =>
      bench.run(['--ca-file', bench.plane.caFile, '--yes', ...given]);
    const stepsOf = (operation: string) =>
      bench.plane.reports
        .filter((report) => report.operation === operation && report.state !== 'running')
        .map(({ step, state }) => `${step} ${state}`);

    test('cut short anywhere, from a file or a pipe, it does nothing', async () => {
      const whole = await bench.plane.script();
      const last = whole.lastIndexOf('\n{ main "$@"');
      expect(last).toBeGreaterThan(0);
      const cuts = [...Array(12).keys()].map((each) => Math.floor((last * (each + 0.37)) / 12));
      const within = [last, last + 1, last + 3, last + 11, last + 12, whole.lastIndexOf('}')];
      for (const [index, cut] of [...cuts, ...within].entries())
        await bench.run(['--token', bench.plane.token, '--yes'], {
          script: whole.slice(0, cut),
          way: index % 2 === 0 ? 'file' : 'pipe',
        });
      untouched();
    });

    test('--help tells every option and exit code, and where it would connect to', async () => {
      const { code, stdout, stderr } = await bench.run(['--help']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      for (const option of options) expect(stdout).toContain(option);
      for (const exit of [0, 1, 2, 3, 4, 5, 130])
        expect(stdout).toMatch(new RegExp(`^Exit:[^]*\\b${exit} [a-z]`, 'm'));
      expect(stdout).toContain(bench.plane.url);
      untouched();
    });

    test('an option that it does not know ends it with 2 before it does anything', async () => {
      const { code, stdout, stderr } = await bench.run(['--tokn', 'x']);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('--tokn');
      untouched();
    });

    test('without a terminal and without --yes it refuses, and says so', async () => {
      for (const way of ['file', 'pipe'] as const) {
        const { code, stderr } = await bench.run(['--token', bench.plane.token], { way });
        expect(code).toBe(2);
        expect(stderr).toMatch(/no terminal to ask on.*--yes/);
      }
      untouched();
    });

    test('through a pipe it installs Calico where there is nothing, and connects the cluster', async () => {
      const given = [
        '--token',
        bench.plane.token,
        '--name',
        'shop',
        '--yes',
        '--ca-file',
        bench.plane.caFile,
      ];
      const { code, stdout, stderr } = await bench.run(given, { way: 'pipe' });
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stderr: '' });
      const [cluster, ...others] = bench.plane.clusters.values();
      expect(others).toEqual([]);
      expect(cluster).toMatchObject({ clusterName: 'shop' });
      expect(stdout).toMatch(new RegExp(`\nConnected: shop \\(${cluster?.clusterId ?? ''}\\)\\..*\n$`));
      // The key that was made here, in both places, with the certificate that was issued for it.
      const key = tunnelSecret(bench, 'managed-cluster.key');
      expect(identity(bench, 'managed-cluster.key')).toBe(key);
      expect(tunnelSecret(bench, 'managed-cluster.crt')).toBe(cluster?.certificates[0]);
      expect(isPair(cluster?.certificates[0] ?? '', key)).toBe(true);
      expect(identity(bench, 'token')).toBe(cluster?.clusterToken);
      expect(bench.cluster.find('installation', 'default')?.status).toMatchObject({
        calicoVersion: 'v3.32.1',
      });
      expect(bench.cluster.find('configmap', 'cattery-install', 'cattery-system')?.data).toMatchObject({
        ...{ apiUrl: bench.plane.url, clusterId: cluster?.clusterId, clusterName: 'shop' },
        ...{ calicoInstalled: 'yes', calicoVersion: 'v3.32.1', step: 'done' },
      });
      expect(stepsOf('install')).toEqual(progressSteps.install.map((step) => `${step} done`));
    }, 60_000);

    test('run again it changes nothing but what it remembers of its runs', async () => {
      const kept = () =>
        bench.cluster
          .all()
          .filter(({ metadata }) => !['cattery-install'].includes(metadata.name))
          .map(stable);
      const before = kept();
      const { code, stdout } = await run();
      expect({ code, stdout }).toMatchObject({ code: 0 });
      expect(stdout).toMatch(/registered before: shop/);
      expect(kept()).toEqual(before);
      expect(bench.plane.clusters.size).toBe(1);
    }, 60_000);

    test('--renew brings a new key and certificate, proved by the current one, and retires that', async () => {
      const [before] = [...bench.plane.clusters.values()].map(({ certificates }) => certificates);
      const [old = ''] = before ?? [];
      const { code, stdout, stderr } = await run('--renew');
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stderr: '' });
      const certificates = [...bench.plane.clusters.values()][0]?.certificates ?? [];
      expect(certificates).toHaveLength(1);
      expect(certificates[0]).not.toBe(old);
      const key = tunnelSecret(bench, 'managed-cluster.key');
      expect(isPair(old, key)).toBe(false);
      expect(isPair(certificates[0] ?? '', key)).toBe(true);
      expect(tunnelSecret(bench, 'managed-cluster.crt').trim()).toBe(certificates[0]?.trim());
      expect(identity(bench, 'managed-cluster.key')).toBe(key);
      expect(identity(bench, 'next.key')).toBe('');
      expect(stepsOf('renew')).toEqual(progressSteps.renew.map((step) => `${step} done`));
    }, 60_000);

    test('--uninstall takes away what it added, and leaves Calico', async () => {
      const { code, stdout, stderr } = await run('--uninstall');
      expect({ code, stdout, stderr }).toMatchObject({ code: 0, stderr: '' });
      expect(bench.plane.clusters.size).toBe(0);
      const left = bench.cluster.all().filter(({ kind }) => kind !== 'CustomResourceDefinition');
      expect(left.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual([
        ...['APIServer default', 'Deployment tigera-operator', 'Goldmane default', 'Installation default'],
        ...['Namespace calico-system', 'Namespace tigera-operator', 'Node node-1'],
        ...['apiserver', 'calico', 'goldmane', 'whisker'].map((name) => `TigeraStatus ${name}`),
        'Whisker default',
      ]);
      const again = await run('--uninstall');
      expect(again).toMatchObject({ code: 0 });
      expect(again.stdout).toContain('Nothing of this script is in the cluster.');
    }, 60_000);

    test('Ctrl-C ends it with 130, is reported, and leaves nothing here', async () => {
      bench.cluster.remove('installation', 'default');
      bench.cluster.remove('deployment', 'tigera-operator', 'tigera-operator');
      for (const part of ['calico', 'apiserver', 'goldmane', 'whisker'])
        bench.cluster.remove('tigerastatus', part);
      bench.plane.reports.length = 0;
      const { code, stderr } = await bench.run(
        ['--ca-file', bench.plane.caFile, '--yes', '--token', bench.plane.token, '--name', 'shop'],
        { interruptDuring: 'rollout' },
      );
      expect({ code, stderr }).toEqual({
        code: 130,
        stderr: expect.stringMatching(/Interrupted\..*\n.*Run the same command again/),
      });
      expect(bench.plane.reports.at(-1)).toMatchObject({
        ...{ operation: 'install', step: 'operator', state: 'failed', reason: 'INTERRUPTED' },
        hint: expect.stringContaining('Run the same command again'),
      });
    }, 60_000);

    test('in all of this it asked nothing that its stand-ins do not know, and reported nothing that is no report', () => {
      expect(bench.cluster.unknown).toEqual([]);
      expect(bench.plane.badReports).toEqual([]);
      expect(readdirSync(bench.tmp)).toEqual([]);
    });
  });

  describe('its options', () => {
    let bench: Workbench;
    beforeAll(async () => {
      const [shell] = shells;
      if (shell) bench = await Workbench.open(shell);
    });
    afterAll(() => bench.close());

    test.each([
      ['a word that belongs to no option', ['prod-1'], 'prod-1'],
      ...withValue.map((option) => [`${option} without its value`, [option], option] as const),
      ['an option in the place of a value', ['--token', '--yes'], '--token'],
      ['a time that is none', ['--timeout', 'soon'], '--timeout'],
      ['a name that no cluster may have', ['--name', 'Prod_1'], 'Prod_1'],
      ['a name that is too long', ['--name', 'n'.repeat(64)], '--name'],
      ['a token of another kind', ['--token', 'cak_abc'], 'crt_'],
      ['a token that is two lines', ['--token', 'crt_a\nheader = "x: y"'], 'registration token'],
      ['a file that is not there', ['--ca-file', '/nowhere/ca.pem'], '/nowhere/ca.pem'],
      ['a token file that is not there', ['--token-file', '/nowhere/token'], '/nowhere/token'],
      [
        'a pull secret without its name',
        ['--image-pull-secret-file', '/dev/null'],
        '--image-pull-secret NAME',
      ],
      ['a proxy with a password', ['--https-proxy', 'http://me:secret@proxy.example:3128'], 'without'],
      ['two things at once', ['--renew', '--uninstall'], '--uninstall'],
      ['two ways to look', ['--check', '--dry-run'], '--dry-run'],
      ['a dry run of a renewal', ['--renew', '--dry-run'], '--dry-run'],
      ['a check of an uninstall', ['--uninstall', '--check'], '--check'],
    ])('%s: exits 2, says what is wrong, and does nothing', async (_, given, named) => {
      const { code, stdout, stderr } = await bench.run([...given]);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain(named);
      expect(stderr).toContain('--help');
      expect(stderr).not.toContain('me:secret');
      expect({ calls: bench.cluster.calls, requests: bench.plane.requests }).toEqual({
        calls: [],
        requests: [],
      });
    });

    test('--version names the script’s own and its control plane', async () => {
      expect(await bench.run(['--version'])).toEqual({
        code: 0,
        stdout: expect.stringMatching(
          new RegExp(`^install\\.sh \\d+\\.\\d+\\.\\d+ of ${bench.plane.url}\n$`),
        ),
        stderr: '',
      });
    });

    test('as it lies in the repository, served by no control plane, it says so and exits 2', async () => {
      const { code, stderr } = await bench.run(['--check'], { script: source });
      expect(code).toBe(2);
      expect(stderr).toMatch(/control plane serves it/);
    });
  });
});

/** An object but for its version: applying the same counts as a change here. */
const stable = (object: KubeObject): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: '' },
});
