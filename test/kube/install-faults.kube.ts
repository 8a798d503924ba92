/**
 * install.sh when things go wrong: each time its exit code and sentence, and that running it again with the same token
 * ends as if nothing had happened, in the cluster and in the control plane's tables. The API is real; simulated are the
 * kubelets (KWOK), the Tigera operator with Guardian (operator-player.ts), and what goes wrong (workstation.ts).
 * KILL_EVERYWHERE=1 kills it at every one of its calls instead of at some.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { catalogue } from '../../core/release/catalogue.ts';
import { ecPair, makeRequest } from '../functions/registration/certificate-requests.ts';
import { eventually } from '../stack/poll.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { calicoManifests } from './calico-manifests.ts';
import { InstallSite } from './install-site.ts';
import { difference } from './inventory.ts';
import { kubectlBinaries } from './kubectl-binary.ts';
import { readTables, tableChanges } from './tables.ts';
import { type Fault, type Run, Workstation } from './workstation.ts';

const kubectl = kubectlBinaries().at(-1) ?? { file: '', version: '' };
const [release] = catalogue().releases;
const version = release?.version ?? '';
const everywhere = process.env.KILL_EVERYWHERE === '1';

/** Where on the way it is killed, 0 to 1: spread over it, each within its own part. */
function places(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, (_, index) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (index + state / 2 ** 32) / count;
  });
}

(calicoManifests && kubectl.file ? describe : describe.skip)('install.sh, when things go wrong', () => {
  let home: string;
  let stack: Stack;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-faults-'));
    const given = ['--no-demo', '--manifests', calicoManifests ?? ''];
    stack = await startStack({ data: path.join(home, 'data'), arguments: given });
    const script = await stack.api.get('/install.sh', { token: null });
    expect(script.status).toBe(200);
    await writeFile(path.join(home, 'install.sh'), script.text);
  }, 160_000);
  afterAll(async () => {
    stack.disconnect();
    await stack.process.destroy();
    await rm(home, { recursive: true, force: true });
  });

  /** Downloaded, then run. */
  const install = (
    on: Workstation,
    given: readonly string[],
    fault?: Fault,
    script = 'install.sh',
  ): Promise<Run> =>
    on.run(
      'exec sh "$@"',
      [path.join(home, script), '--ca-file', stack.state.caFile, '--yes', '--timeout', '45', ...given],
      {
        ...(fault && { fault }),
      },
    );

  /** What is true of a cluster that was installed, however often that was begun. */
  async function expectConnected(site: InstallSite, name: string): Promise<void> {
    const view = await site.cluster(name);
    expect(view.state).toBe('connected');
    expect(site.operator.running?.fingerprint).toBe(view.certificate.fingerprint);
    expect(await site.kept()).toMatchObject({ clusterId: view.clusterId, clusterName: name });
    const { state, steps } = await site.progress(view.clusterId);
    expect(state).toBe('succeeded');
    expect(steps.filter((step) => !['done', 'skipped'].includes(step.state))).toEqual([]);
  }

  describe('beside a Calico that is there', () => {
    let site: InstallSite;
    let objects: ReadonlyMap<string, string>;
    /** Of an install and of an uninstall that nothing disturbed: calls, and what they changed in the tables. */
    let calls: { install: number; uninstall: number; renew: number };
    let changes: { installed: string[]; uninstalled: string[] };
    let turn = 0;
    let name = '';

    beforeAll(async () => {
      site = await InstallSite.start(stack, { kubectl });
      await site.installCalico(path.join(calicoManifests ?? '', version));
      await site.calicoAvailable();
      // Its last parts come a moment later.
      objects = await eventually('Goldmane and Whisker have their pods', 60_000, async () => {
        const found = await site.inventory();
        const has = (part: string) =>
          [...found.keys()].some((each) => each.startsWith(`pods/calico-system/${part}-`));
        return has('goldmane') && has('whisker') ? found : undefined;
      });
      const run = async (...given: string[]) => {
        const ended = await install(site.workstation, given);
        expect(said(ended)).toMatchObject({ code: 0 });
        return ended.calls.length;
      };
      const installed = await run('--name', 'undisturbed', '--token', await site.token());
      const renewed = await run('--renew');
      calls = { install: installed, renew: renewed, uninstall: await run('--uninstall') };

      const before = await readTables(stack);
      await run('--name', 'undisturbed-2', '--token', await site.token());
      const between = await readTables(stack);
      await run('--uninstall');
      changes = {
        installed: tableChanges(before, between, 'undisturbed-2'),
        uninstalled: tableChanges(before, await readTables(stack), 'undisturbed-2'),
      };
      expect(changes.installed.filter((each) => each.includes('#CLUSTERS '))).toHaveLength(1);
    }, 240_000);
    afterAll(() => site.close());
    // What a test has connected goes, and so does what a failed one has left; not by --uninstall, which waits for the
    // namespace: that stays.
    afterEach(async () => {
      await site.disconnect();
      await eventually('nothing of ours is there but its namespace', 20_000, async () => {
        const { came, went } = difference(objects, await site.inventory());
        return came.filter((each) => !each.includes('cattery-system')).length + went.length === 0;
      });
    }, 60_000);

    const nextName = () => (name = `disturbed-${++turn}`);

    const cases = (count: number, seed: number) =>
      places(count, seed).map((place, index): [string, number, Fault['kind']] => [
        `${Math.round(place * 100)} %`,
        place,
        index % 2 === 0 ? 'killed before' : 'killed after',
      ]);

    async function killedOnce(fault: Fault): Promise<void> {
      const before = await readTables(stack);
      const given = ['--name', nextName(), '--token', await site.token()];
      const killed = await install(site.workstation, given, fault);
      expect(said(killed)).toMatchObject({ signal: 'SIGKILL' });
      const again = await install(site.workstation, given);
      expect(said(again)).toMatchObject({ code: 0 });
      await expectConnected(site, name);
      expect(tableChanges(before, await readTables(stack), name)).toEqual(changes.installed);
    }

    test.each(cases(everywhere ? 0 : 6, 5))(
      'killed at %s of its way, it finishes when run again',
      async (_, place, kind) => {
        await killedOnce({ kind, at: 1 + Math.floor(place * calls.install) });
      },
      90_000,
    );

    (everywhere ? test : test.skip)(
      'killed at any of its calls, before or after it, it finishes when run again',
      async () => {
        for (const kind of ['killed before', 'killed after'] as const)
          for (let at = 1; at <= calls.install; at++) {
            await killedOnce({ kind, at });
            expect(said(await install(site.workstation, ['--uninstall']))).toMatchObject({ code: 0 });
          }
      },
      3_600_000,
    );

    test.each(cases(2, 6))(
      'killed at %s of --uninstall, it finishes when run again',
      async (_, place, kind) => {
        const before = await readTables(stack);
        const given = ['--name', nextName(), '--token', await site.token()];
        expect(said(await install(site.workstation, given))).toMatchObject({ code: 0 });
        // The last call takes away what there was to resume.
        const at = 1 + Math.floor(place * (calls.uninstall - 1));
        expect(said(await install(site.workstation, ['--uninstall'], { kind, at }))).toMatchObject({
          signal: 'SIGKILL',
        });
        expect(said(await install(site.workstation, ['--uninstall']))).toMatchObject({ code: 0 });
        expect(await site.clusters(name)).toEqual([]);
        expect(tableChanges(before, await readTables(stack), name)).toEqual(changes.uninstalled);
      },
      90_000,
    );

    test('killed all along --renew, it renews once, and the tunnel has the certificate of its key', async () => {
      expect(
        said(await install(site.workstation, ['--name', nextName(), '--token', await site.token()])),
      ).toMatchObject({ code: 0 });
      const old = await site.cluster(name);
      for (const [, place, kind] of cases(4, 7)) {
        const { signal } = await install(site.workstation, ['--renew'], {
          kind,
          at: 1 + Math.floor(place * calls.renew),
        });
        // A run that was killed late has renewed; it may end before the next one's call.
        expect([null, 'SIGKILL']).toContain(signal);
        expect((await site.cluster(name)).state).toBe('connected');
      }
      expect(said(await install(site.workstation, ['--renew']))).toMatchObject({ code: 0 });
      const { certificate, clusterId } = await site.cluster(name);
      expect(certificate.fingerprint).not.toBe(old.certificate.fingerprint);
      expect(certificate.connected).toBe(certificate.fingerprint);
      expect(site.operator.running?.fingerprint).toBe(certificate.fingerprint);
      expect(await site.progress(clusterId)).toMatchObject({ operation: 'renew', state: 'succeeded' });
    }, 120_000);

    test('of two --renew at once one at least renews, none tears certificate and key apart, and nothing stays half done', async () => {
      const given = ['--name', nextName(), '--token', await site.token()];
      expect(said(await install(site.workstation, given))).toMatchObject({ code: 0 });
      const old = await site.cluster(name);
      const other = await Workstation.make({ kubectl: kubectl.file, kubeconfig: site.kube.kubeconfig });
      try {
        const runs = await Promise.all([site.workstation, other].map((each) => install(each, ['--renew'])));
        expect(runs.map(({ code }) => code)).toContain(0);
        // The slower one either helps the other to its end, or stops at a key that is not its own.
        for (const run of runs) expect(said(run)).toMatchObject({ code: run.code === 0 ? 0 : 1 });
      } finally {
        await other.destroy();
      }
      const { certificate, state } = await site.cluster(name);
      expect(state).toBe('connected');
      expect(certificate.fingerprint).not.toBe(old.certificate.fingerprint);
      expect(site.operator.running?.fingerprint).toBe(certificate.fingerprint);
      const key = await site.secret('cattery-system', 'cattery-identity', 'managed-cluster.key');
      expect(key).toBe(
        await site.secret('tigera-operator', 'tigera-managed-cluster-connection', 'managed-cluster.key'),
      );
      expect(await site.secret('cattery-system', 'cattery-identity', 'next.key')).toBeUndefined();
      expect(said(await install(site.workstation, ['--renew']))).toMatchObject({ code: 0 });
      expect(said(await install(site.workstation, given))).toMatchObject({ code: 0 });
      await expectConnected(site, name);
    }, 120_000);

    test('interrupted with Ctrl-C it says so with 130, tells the control plane, and finishes when run again', async () => {
      const given = ['--name', nextName(), '--token', await site.token()];
      const at = Math.floor(calls.install * 0.8);
      const run = await install(site.workstation, given, { kind: 'interrupted', at });
      expect(said(run)).toMatchObject({ code: 130 });
      const { clusterId } = await site.cluster(name);
      expect(await site.progress(clusterId)).toMatchObject({ state: 'failed' });
      expect(said(await install(site.workstation, given))).toMatchObject({ code: 0 });
      await expectConnected(site, name);
    }, 90_000);

    describe.each([
      ['is gone', 'https://127.0.0.1:1', undefined, 0.85, /reach|refused|answer/i],
      ['answers 401', undefined, 'nobody', 0.65, /401|unauthori[sz]ed|credential|logged in/i],
      ['answers 403', undefined, 'powerless', 0.5, /403|forbidden|right|may not|cannot/i],
    ] as const)('when the Kubernetes API %s', (_, url, who, place, sentence) => {
      let kubeconfig: string;
      beforeAll(async () => {
        kubeconfig = path.join(home, `${who ?? 'gone'}.kubeconfig`);
        const token =
          who === 'powerless'
            ? (await site.admin(['create', 'token', 'default', '-n', 'default'])).trim()
            : who;
        const text = await readFile(site.kube.kubeconfig, 'utf8');
        const other = url
          ? text.replace(site.kube.url, url)
          : text.replace(/user: \{client-certificate.*\}/, `user: {token: "${token}"}`);
        expect(other).not.toBe(text);
        await writeFile(kubeconfig, other, { mode: 0o600 });
      });

      test('from the beginning, preflight refuses with 3 and nothing has happened', async () => {
        const before = await readTables(stack);
        const given = ['--name', nextName(), '--token', await site.token()];
        const between = await readTables(stack);
        const run = await install(site.workstation, given, { kind: 'kubectl', at: 1, kubeconfig });
        expect(said(run)).toMatchObject({ code: 3 });
        expect(run.stdout + run.stderr).toMatch(sentence);
        expect(tableChanges(between, await readTables(stack), name)).toEqual([]);
        expect(tableChanges(before, between, name).length).toBeGreaterThan(0);
      }, 60_000);

      test(`from ${place * 100} % of the way, it ends with a sentence, and finishes when run again`, async () => {
        const before = await readTables(stack);
        const given = ['--name', nextName(), '--timeout', '20', '--token', await site.token()];
        const at = Math.floor(calls.install * place);
        const run = await install(site.workstation, given, { kind: 'kubectl', at, kubeconfig });
        expect([1, 3, 5]).toContain(run.code);
        expect(run.stderr).toMatch(sentence);
        expect(said(await install(site.workstation, given))).toMatchObject({ code: 0 });
        await expectConnected(site, name);
        expect(tableChanges(before, await readTables(stack), name)).toEqual(changes.installed);
      }, 90_000);
    });

    test('without a way to the control plane preflight refuses with 3', async () => {
      const given = ['--name', nextName(), '--token', await site.token()];
      const run = await install(site.workstation, given, { kind: 'curl', at: 1 });
      expect(said(run)).toMatchObject({ code: 3 });
      expect(run.stdout + run.stderr).toMatch(/reach|connect/i);
    }, 60_000);

    test('when the control plane is lost on the way, it ends with 4 or 5, and finishes when run again', async () => {
      const place = 0.7;
      const given = ['--name', nextName(), '--timeout', '15', '--token', await site.token()];
      const run = await install(site.workstation, given, {
        kind: 'curl',
        at: Math.floor(calls.install * place),
      });
      expect([4, 5]).toContain(run.code);
      expect(run.stderr).toMatch(/reach|connect/i);
      expect(said(await install(site.workstation, given))).toMatchObject({ code: 0 });
      await expectConnected(site, name);
    }, 90_000);

    test('when the tunnel’s port is closed preflight refuses with 3 and names the port', async () => {
      const text = await readFile(path.join(home, 'install.sh'), 'utf8');
      expect(text).toContain(stack.state.tunnelAddress);
      await writeFile(
        path.join(home, 'closed.sh'),
        text.replaceAll(stack.state.tunnelAddress, '127.0.0.1:1'),
      );
      const given = ['--name', nextName(), '--token', await site.token()];
      const run = await install(site.workstation, given, undefined, 'closed.sh');
      expect(said(run)).toMatchObject({ code: 3 });
      expect(run.stdout + run.stderr).toContain('127.0.0.1:1');
      expect(await site.clusters(name)).toEqual([]);
    }, 60_000);

    test('with a token that someone else has spent it ends with 4; with another token it connects', async () => {
      const token = await site.token();
      const body = {
        clusterName: 'theirs',
        csr: makeRequest(ecPair()),
        cluster: {
          kubernetesVersion: 'v1.33.2',
          calicoVersion: version,
          distribution: 'kubeadm',
          nodeCount: 1,
        },
      };
      expect(await stack.api.post('/v1/registrations', body, { token })).toMatchObject({ status: 201 });
      const before = await readTables(stack);
      const run = await install(site.workstation, ['--name', nextName(), '--token', token]);
      expect(said(run)).toMatchObject({ code: 4 });
      expect(run.stderr).toMatch(/TOKEN_SPENT|spent|used/);
      expect(tableChanges(before, await readTables(stack), name)).toEqual([]);
      const again = await install(site.workstation, ['--name', name, '--token', await site.token()]);
      expect(said(again)).toMatchObject({ code: 0 });
      await expectConnected(site, name);
    }, 90_000);

    test('two at once make one cluster', async () => {
      const other = await Workstation.make({ kubectl: kubectl.file, kubeconfig: site.kube.kubeconfig });
      try {
        const before = await readTables(stack);
        const given = ['--name', nextName(), '--token', await site.token()];
        const between = await readTables(stack);
        const runs = await Promise.all([site.workstation, other].map((each) => install(each, given)));
        expect(runs.map(said)).toMatchObject([{ code: 0 }, { code: 0 }]);
        await expectConnected(site, name);
        expect(
          tableChanges(between, await readTables(stack), name).filter((each) => each.includes('#CLUSTERS ')),
        ).toHaveLength(1);
        expect(tableChanges(before, await readTables(stack), name)).toEqual(changes.installed);
      } finally {
        await other.destroy();
      }
    }, 120_000);
  });

  describe('from nothing', () => {
    const name = 'from-nothing';
    let site: InstallSite;
    let given: string[];
    beforeAll(async () => {
      site = await InstallSite.start(stack, { kubectl });
      given = [
        '--name',
        name,
        '--calico-version',
        version,
        '--timeout',
        '120',
        '--token',
        await site.token(),
      ];
    }, 120_000);
    afterAll(() => site.close());

    const tiny = tinyDisk();
    (tiny ? test : test.skip)(
      'on a full disk preflight refuses with 3 and says so',
      async () => {
        const before = await site.inventory();
        const run = await site.workstation.run(`${tiny ?? ''} sh "$@"`, [
          path.join(home, 'install.sh'),
          '--ca-file',
          stack.state.caFile,
          '--yes',
          ...given,
        ]);
        expect(said(run)).toMatchObject({ code: 3 });
        expect(run.stdout + run.stderr).toMatch(/FAIL +disk: .*full/);
        expect(difference(before, await site.inventory())).toEqual({ came: [], went: [], changed: [] });
        expect(await site.clusters(name)).toEqual([]);
      },
      90_000,
    );

    test('killed again and again, ever later, it finishes in the end, as one cluster', async () => {
      const step = 17;
      let run: Run | undefined;
      for (let at = step; run?.code !== 0; at += step) {
        run = await install(site.workstation, given, {
          kind: at % 2 === 0 ? 'killed before' : 'killed after',
          at,
        });
        expect(run.code === 0 || run.signal === 'SIGKILL' || said(run)).toBe(true);
        expect(at).toBeLessThan(1_000);
      }
      await expectConnected(site, name);
      // Who is killed leaves temporary files, but none with a secret.
      const left = await site.workstation.leftovers();
      expect(left.size).toBeGreaterThan(0);
      const key = (await site.secret('cattery-system', 'cattery-identity', 'managed-cluster.key')) ?? '';
      const clusterToken = (await site.secret('cattery-system', 'cattery-identity', 'token')) ?? '';
      const secrets = [
        key.split('\n')[1] ?? '',
        Buffer.from(key).toString('base64').slice(60, 120),
        clusterToken,
      ];
      for (const secret of secrets) {
        expect(secret.length).toBeGreaterThan(20);
        expect([...left].filter(([, text]) => text.includes(secret))).toEqual([]);
      }
    }, 300_000);
  });
});

const said = ({ code, signal, stdout, stderr }: Run) => ({ code, signal, stdout, stderr });

/**
 * Words before a command that give it a temporary directory of 4 KB: a file system of its own where one may be mounted
 * (in a mount namespace of its own). undefined where none may: said in words.
 */
function tinyDisk(): string | undefined {
  const mount = 'mount -t tmpfs -o size=4k none "$TMPDIR" && exec "$@"';
  const { status } = spawnSync('unshare', ['-m', 'sh', '-c', mount, 'sh', 'true'], {
    env: { ...process.env, TMPDIR: tmpdir() },
  });
  if (status === 0) return `exec unshare -m sh -c '${mount}' sh`;
  console.log('no file system may be mounted here: a full disk is not tried');
  return undefined;
}
