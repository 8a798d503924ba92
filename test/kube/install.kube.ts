/**
 * install.sh against a real Kubernetes API, from nothing to connected, for each release; kubectl of users through the
 * tunnel that it made. Simulated: the kubelets (KWOK) and the Tigera operator with Guardian (operator-player.ts).
 */
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { catalogue } from '../../core/release/catalogue.ts';
import { startGoAgent } from '../interop/go-agent.ts';
import { eventually } from '../stack/poll.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { calicoManifests } from './calico-manifests.ts';
import { InstallSite } from './install-site.ts';
import { difference } from './inventory.ts';
import { type KubectlBinary, kubectlBinaries, minorOf } from './kubectl-binary.ts';
import type { Run } from './workstation.ts';

const binaries = kubectlBinaries();
const [oldest] = binaries;
const newest = binaries.at(-1);
if (!newest) console.log('kubectl is not on the PATH: install.sh is not tried against a real API');
const { releases } = catalogue();
const none: KubectlBinary = { file: '', version: '' };

/** Each release once; the oldest and the newest kubectl, dash and bash among them. */
const ways = releases.map(({ version }, index) => ({
  version,
  kubectl: (index === 1 ? oldest : newest) ?? none,
  shell: index === 2 ? 'bash' : 'sh',
}));

const map = (name: string, value: string) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: ${name}, namespace: default }
data: { value: "${value}" }
`;

(newest && calicoManifests ? describe : describe.skip)('install.sh', () => {
  let home: string;
  let stack: Stack;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-install-'));
    const given = ['--no-demo', '--manifests', calicoManifests ?? ''];
    stack = await startStack({ data: path.join(home, 'data'), arguments: given });
  }, 160_000);
  afterAll(async () => {
    stack.disconnect();
    await stack.process.destroy();
    await rm(home, { recursive: true, force: true });
  });

  /** As the documents have it: one line at a prompt. */
  const install = (site: InstallSite, ...given: string[]): Promise<Run> =>
    site.workstation.run(
      'ca=$1 api=$2; shift 2; curl -fsSL --cacert "$ca" "$api/install.sh" | sh -s -- --ca-file "$ca" "$@"',
      [stack.state.caFile, stack.state.apiUrl, ...given],
    );

  describe.each(ways)(
    'of Calico $version, by $shell and kubectl $kubectl.version, from nothing',
    ({ version, kubectl, shell }) => {
      const name = `fresh-${version.replaceAll('.', '-')}`;
      const given = ['--name', name, '--calico-version', version, '--yes'];
      let site: InstallSite;
      let token: string;
      beforeAll(async () => {
        site = await InstallSite.start(stack, { kubectl, shell });
        token = await site.token();
      }, 120_000);
      afterAll(() => site.close());

      test.each(['--check', '--dry-run'])(
        '%s changes nothing, here or there',
        async (only) => {
          const before = await site.inventory();
          const run = await install(site, '--token', token, ...given, only);
          expect(said(run)).toMatchObject({ code: 0 });
          expect(difference(before, await site.inventory())).toEqual({ came: [], went: [], changed: [] });
          expect(await site.clusters(name)).toEqual([]);
        },
        60_000,
      );

      test('connects the cluster, and its key is in no argument, no output and no file', async () => {
        const run = await install(site, '--token', token, ...given);
        expect(said(run)).toMatchObject({ code: 0 });
        const view = await site.cluster(name);
        expect(view).toMatchObject({ state: 'connected', cluster: { calicoVersion: version } });
        expect(view.certificate.connected).toBe(view.certificate.fingerprint);
        expect(site.operator.running?.fingerprint).toBe(view.certificate.fingerprint);
        expect(site.operator.complaints.filter((each) => !each.includes('Guardian cannot start'))).toEqual(
          [],
        );
        expect(await site.progress(view.clusterId)).toMatchObject({
          state: 'succeeded',
          operation: 'install',
        });
        const key = await site.secret('cattery-system', 'cattery-identity', 'managed-cluster.key');
        const secrets = [
          ...linesOf(key),
          token,
          (await site.secret('cattery-system', 'cattery-identity', 'token')) ?? 'none',
        ];
        for (const each of secrets) {
          expect(run.calls.filter((call) => call.includes(each))).toEqual([]);
          expect(run.stdout + run.stderr).not.toContain(each);
        }
        expect([...(await site.workstation.leftovers()).keys()]).toEqual([]);
      }, 180_000);

      test('users list what is in the cluster, watch it change, and change it once that is granted', async () => {
        const { clusterId } = await site.cluster(name);
        const config = await site.kubeconfig(clusterId);
        const pods = await site.through(config, ['get', 'pods', '-A', '-o', 'name']);
        expect(pods.stdout).toMatch(/^pod\/tigera-operator-/m);
        expect(pods.stdout).toMatch(/^pod\/guardian-/m);
        // Through the tunnel there is no /openapi/v2, which kubectl before 1.29 wants for its checks.
        const unchecked = minorOf(kubectl) < 29 ? ['--validate=false'] : [];
        const apply = ['apply', ...unchecked, '-f', '-'];
        const refused = await site.through(config, ['create', ...unchecked, '-f', '-'], map('refused', '1'));
        expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('access=edit') });
        // It reads first, what Guardian may not.
        const applied = await site.through(config, apply, map('refused', '1'));
        expect(applied).toMatchObject({ code: 1, stderr: expect.stringContaining('forbidden') });
        await site.grantEdit(clusterId);
        await eventually('the rights hold', 90_000, async () => {
          const { code } = await site.through(config, [...apply, '--dry-run=server'], map('granted', '1'));
          return code === 0;
        });
        const watch = spawn(kubectl.file, ['get', 'configmaps', '--watch', '-o', 'name'], {
          env: { PATH: process.env.PATH, HOME: site.workstation.home, KUBECONFIG: config },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        try {
          let seen = '';
          watch.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
          const made = await site.through(config, apply, map('watched', '1'));
          expect(made).toMatchObject({ code: 0 });
          await eventually('get -w shows it', 15_000, () => seen.includes('configmap/watched'));
        } finally {
          watch.kill();
          await once(watch, 'exit');
        }
      }, 120_000);

      test('run again it changes nothing: the same cluster, the same certificate, the same tunnel', async () => {
        const [before, objects, lives] = [
          await site.cluster(name),
          await site.inventory(),
          site.operator.lives.length,
        ];
        const run = await install(site, '--token', token, ...given);
        expect(said(run)).toMatchObject({ code: 0 });
        expect(await site.cluster(name)).toMatchObject({
          clusterId: before.clusterId,
          certificate: before.certificate,
        });
        expect(site.operator.lives.length).toBe(lives);
        const { came, went, changed } = difference(objects, await site.inventory());
        expect({ came, went }).toEqual({ came: [], went: [] });
        expect(changed.filter((each) => each !== 'configmaps/cattery-system/cattery-install')).toEqual([]);
      }, 90_000);

      test('--renew takes a new key; requests wait for Guardian’s restart, and the old certificate is let in no more', async () => {
        const old = await site.cluster(name);
        const formerKey =
          (await site.secret('cattery-system', 'cattery-identity', 'managed-cluster.key')) ?? '';
        const former = {
          certificate:
            (await site.secret(
              'tigera-operator',
              'tigera-managed-cluster-connection',
              'managed-cluster.crt',
            )) ?? '',
          trustBundle:
            (await site.secret(
              'tigera-operator',
              'tigera-managed-cluster-connection',
              'management-cluster.crt',
            )) ?? '',
        };
        const lives = site.operator.lives.length;
        const over = new AbortController();
        const statuses: number[] = [];
        /** Answers that had begun when Guardian's pod went: nobody can ask for those again. */
        let cut = 0;
        const asking = (async () => {
          while (!over.signal.aborted) {
            const asked = stack.access.get(`/clusters/${old.clusterId}/api/v1/namespaces`);
            await asked.then(
              ({ status }) => statuses.push(status),
              () => (cut += 1),
            );
            // As fast as it can, a fast machine meets the limit of requests per user instead.
            await delay(50);
          }
        })();
        const run = await install(site, '--renew', '--yes');
        over.abort();
        await asking;
        expect(said(run)).toMatchObject({ code: 0 });
        // What was under way when Guardian's pod went is asked of the next, as it only reads; all others wait for that.
        expect(site.operator.lives.length).toBe(lives + 1);
        expect(statuses.filter((status) => status !== 200)).toEqual([]);
        expect(cut).toBeLessThanOrEqual(1);
        expect(statuses.length).toBeGreaterThan(3);
        const renewed = await site.cluster(name);
        expect(renewed.clusterId).toBe(old.clusterId);
        expect(renewed.certificate.fingerprint).not.toBe(old.certificate.fingerprint);
        expect(renewed.certificate.connected).toBe(renewed.certificate.fingerprint);
        expect(await site.progress(old.clusterId)).toMatchObject({ state: 'succeeded', operation: 'renew' });
        const key = await site.secret('cattery-system', 'cattery-identity', 'managed-cluster.key');
        expect(key).not.toBe(formerKey);
        expect(key).toBe(
          await site.secret('tigera-operator', 'tigera-managed-cluster-connection', 'managed-cluster.key'),
        );
        expect(await site.secret('cattery-system', 'cattery-identity', 'next.key')).toBeUndefined();
        const stale = await startGoAgent({
          ...former,
          key: formerKey,
          tunnelAddress: stack.state.tunnelAddress,
          kubeApi: { url: site.kube.url, ca: site.kube.ca, token: 'none' },
        });
        try {
          await stale.go.event('lost', 1, 15_000);
          expect((await site.cluster(name)).certificate.connected).toBe(renewed.certificate.fingerprint);
        } finally {
          await stale.close();
        }
      }, 120_000);

      test('--uninstall leaves no object of ours, no cluster, and Calico as it was', async () => {
        const before = await site.inventory();
        const run = await install(site, '--uninstall', '--yes');
        expect(said(run)).toMatchObject({ code: 0 });
        expect(await site.clusters(name)).toEqual([]);
        await eventually('Guardian is gone', 30_000, () => site.operator.running === undefined);
        const after = await site.inventory();
        expect(
          [...after.keys()].filter((each) =>
            /cattery|managed-cluster|linseed|managementclusterconnection|guardian/.test(each),
          ),
        ).toEqual([
          'customresourcedefinitions.apiextensions.k8s.io//managementclusterconnections.operator.tigera.io',
        ]);
        const { came, changed } = difference(before, after);
        expect(came).toEqual([]);
        expect(changed).toEqual([]);
        for (const kind of ['installations', 'apiservers', 'goldmanes', 'whiskers'])
          expect(after.has(`${kind}.operator.tigera.io//default`)).toBe(true);
      }, 90_000);
    },
  );

  describe('beside a Calico that was there before, without Goldmane and Whisker', () => {
    const name = 'beside';
    const [release] = releases;
    let site: InstallSite;
    let before: ReadonlyMap<string, string>;
    beforeAll(async () => {
      site = await InstallSite.start(stack, { kubectl: newest ?? none });
      await site.installCalico(path.join(calicoManifests ?? '', release?.version ?? ''), (text) =>
        text
          .split(/^---$/m)
          .filter((each) => !/kind: (?:Goldmane|Whisker)/.test(each))
          .join('---'),
      );
      await site.calicoAvailable();
      before = await site.inventory();
    }, 120_000);
    afterAll(() => site.close());

    test('is connected, and gets what the connection lacks alone', async () => {
      const run = await install(site, '--token', await site.token(), '--name', name, '--yes');
      expect(said(run)).toMatchObject({ code: 0 });
      expect(await site.cluster(name)).toMatchObject({ state: 'connected' });
      const after = await site.inventory();
      expect(after.has('goldmanes.operator.tigera.io//default')).toBe(true);
      const { changed } = difference(before, after);
      expect(changed.filter((each) => !each.startsWith('tigerastatuses.'))).toEqual([]);
    }, 120_000);

    test('--uninstall leaves it as it was', async () => {
      const run = await install(site, '--uninstall', '--yes');
      expect(said(run)).toMatchObject({ code: 0 });
      expect(await site.clusters(name)).toEqual([]);
      await eventually('everything is as it was', 20_000, async () => {
        const { came, went, changed } = difference(before, await site.inventory());
        return (
          came.length + went.length + changed.filter((each) => !each.startsWith('tigerastatuses.')).length ===
          0
        );
      });
    }, 90_000);
  });
});

/** What a run said, so that a failed expectation shows it. */
const said = ({ code, signal, stdout, stderr }: Run) => ({ code, signal, stdout, stderr });

/** The lines of a PEM that are its own. */
const linesOf = (pem: string | undefined): string[] => {
  const lines = (pem ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  if (lines.length === 0) throw new Error('there is no key');
  return lines;
};
