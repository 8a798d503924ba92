/** kubectl of every version here, with Cattery's kubeconfig, through the whole stack and a Go agent to a real Kubernetes API. */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type GoAgent, startGoAgent } from '../interop/go-agent.ts';
import { registerCluster, untilConnected } from '../stack/further-cluster.ts';
import { eventually } from '../stack/poll.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { call, type KubectlBinary, kubectlBinaries, minorOf, type Outcome } from './kubectl-binary.ts';
import { type Kube, startKube } from './kube-process.ts';

const binaries = kubectlBinaries();
const newest = binaries.at(-1);
if (newest === undefined) console.log('kubectl is not on the PATH: its tests against a real API are skipped');

/** Guardian's own account in the cluster, as the operator makes it, with the rights that it has everywhere (guardian.md 3). */
const guardian = `
apiVersion: v1
kind: Namespace
metadata: { name: calico-system }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: guardian, namespace: calico-system }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: calico-guardian }
rules:
- { apiGroups: [""], resources: [pods, services, namespaces], verbs: [get, list, watch] }
- { apiGroups: [apps], resources: [deployments, replicasets, statefulsets, daemonsets], verbs: [get, list, watch] }
- { apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, list, watch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: calico-guardian }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: calico-guardian }
subjects: [{ kind: ServiceAccount, name: guardian, namespace: calico-system }]
`;

const deployment = (name: string, image = 'registry.example/app:1') => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: default }
spec:
  replicas: 1
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec: { containers: [{ name: app, image: "${image}" }] }
`;

const map = (name: string, value: string) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: ${name}, namespace: default }
data: { value: "${value}" }
`;

(newest === undefined ? describe.skip : describe)('a real Kubernetes API behind a Go agent', () => {
  let home: string;
  let stack: Stack;
  let kube: Kube;
  let agent: GoAgent;
  let echo: Server;
  let clusterId: string;

  /** As the cluster's own administrator, past Cattery. */
  const admin = async (given: readonly string[], input?: string): Promise<string> => {
    const outcome = await call(newest?.file ?? '', given, {
      home,
      environment: { KUBECONFIG: kube.kubeconfig },
      ...(input === undefined ? {} : { input }),
    });
    return succeeded(outcome, given);
  };

  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-kubectl-'));
    echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    kube = await startKube({ forwardPort: (echo.address() as AddressInfo).port });
    await admin(['apply', '-f', '-'], guardian);
    await admin(['apply', '-f', '-'], deployment('web'));
    await admin(['rollout', 'status', 'deployment/web', '--timeout=30s']);
    const token = (
      await admin(['create', 'token', 'guardian', '-n', 'calico-system', '--duration=2h'])
    ).trim();
    stack = await startStack({ data: path.join(home, 'data'), arguments: ['--no-demo'] });
    const enrolment = await registerCluster(stack, 'real');
    clusterId = enrolment.clusterId;
    agent = await startGoAgent({ ...enrolment, kubeApi: { url: kube.url, ca: kube.ca, token } });
    await untilConnected(stack, clusterId);
    const config = await stack.api.get(`/v1/clusters/${clusterId}/kubeconfig?embed=token`);
    await writeFile(path.join(home, 'config'), config.text, { mode: 0o600 });
  }, 240_000);
  afterAll(async () => {
    stack.disconnect();
    await agent.close();
    await kube.close();
    await stack.process.destroy();
    echo.close();
    await rm(home, { recursive: true, force: true });
  });

  const through =
    (binary: KubectlBinary, more: Readonly<Record<string, string>> = {}) =>
    async (given: readonly string[], input?: string): Promise<Outcome> => {
      const own = path.join(home, `home-${binary.version}`);
      await mkdir(own, { recursive: true });
      return call(binary.file, given, {
        home: own,
        environment: { KUBECONFIG: path.join(home, 'config'), ...more },
        ...(input === undefined ? {} : { input }),
      });
    };

  describe('with the rights that Guardian has everywhere', () => {
    const kubectl = through(newest ?? { file: '', version: '' });

    test('reads what Guardian may read', async () => {
      expect(succeeded(await kubectl(['get', 'pods', '-A']))).toMatch(/default\s+web-\S+\s+1\/1\s+Running/);
    });

    test('refuses a change before it reaches the cluster, and says what would grant it', async () => {
      const { code, stderr } = await kubectl(['create', '-f', '-'], map('refused', '1'));
      expect(code).not.toBe(0);
      expect(stderr).toContain('access=edit');
    });

    test('tells what Guardian may not read in the words of the cluster', async () => {
      const { code, stderr } = await kubectl(['get', 'nodes']);
      expect(code).not.toBe(0);
      expect(stderr).toContain('nodes is forbidden');
    });
  });

  describe('with the rights of manifest?access=edit', () => {
    beforeAll(async () => {
      const manifest = await stack.api.get(`/v1/clusters/${clusterId}/manifest?access=edit`);
      expect(manifest.status).toBe(200);
      await admin(['apply', '--server-side', '-f', '-'], rightsIn(manifest.text));
      await eventually('the rights hold', 90_000, async () => {
        const { code } = await through(newest ?? { file: '', version: '' })(
          ['create', '--dry-run=server', '-f', '-'],
          map('granted', '1'),
        );
        return code === 0;
      });
    }, 120_000);

    describe.each(binaries.filter((binary) => minorOf(binary) >= 29))('kubectl $version', (binary) => {
      const name = `v${minorOf(binary)}`;
      const run = through(binary);
      const kubectl = async (...given: string[]) => succeeded(await run(given), given);
      const apply = async (manifest: string, ...flags: string[]) =>
        succeeded(await run(['apply', ...flags, '-f', '-'], manifest));
      beforeAll(async () => {
        await apply(deployment(name));
        await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
      }, 90_000);

      test('gets, describes and waits', async () => {
        expect(await kubectl('get', 'pods')).toMatch(new RegExp(`${name}-\\S+\\s+1/1\\s+Running`));
        expect(await kubectl('get', 'nodes')).toContain('Ready');
        expect(await kubectl('describe', 'pod', '-l', `app=${name}`)).toMatch(/Events:[^]*Scheduled/);
        expect(await kubectl('wait', `deployment/${name}`, '--for=condition=Available')).toContain(
          'condition met',
        );
      });

      test('knows versions and kinds, and what one may do', async () => {
        // Guardian leads to no /version: it is what the cluster said of itself when it registered.
        expect(await kubectl('version')).toContain('Server Version: v1.33.2');
        expect(await kubectl('api-resources', '-o', 'name')).toContain('deployments.apps');
        expect(await kubectl('auth', 'can-i', 'create', 'deployments')).toBe('yes\n');
      });

      test('applies from the client and from the server, and has the server reject a bad field', async () => {
        expect(await apply(map(name, '1'))).toContain('created');
        expect(await apply(map(name, '2'))).toContain('configured');
        expect(await apply(map(`${name}-server`, '1'), '--server-side')).toContain('serverside-applied');
        const { code, stderr } = await run(['apply', '-f', '-'], `${map(`${name}-bad`, '1')}unknown: true\n`);
        expect(code).not.toBe(0);
        expect(stderr).toContain('unknown field "unknown"');
      });

      test('edits, patches, scales, rolls out and deletes', async () => {
        const edit = through(binary, { KUBE_EDITOR: "sed -i 's/value: .*/value: edited/'" });
        await apply(map(`${name}-edit`, '1'));
        expect(succeeded(await edit(['edit', 'configmap', `${name}-edit`]))).toContain('edited');
        expect(await kubectl('get', 'configmap', `${name}-edit`, '-o', 'jsonpath={.data.value}')).toBe(
          'edited',
        );
        await kubectl('patch', 'configmap', `${name}-edit`, '-p', '{"data":{"more":"2"}}');
        await kubectl('scale', `deployment/${name}`, '--replicas=2');
        await kubectl('rollout', 'restart', `deployment/${name}`);
        expect(await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s')).toContain(
          'successfully rolled out',
        );
        expect(await kubectl('delete', 'configmap', `${name}-edit`)).toContain('deleted');
        expect((await run(['get', 'configmap', `${name}-edit`])).stderr).toContain('NotFound');
      }, 90_000);

      test('reads logs', async () => {
        expect(await kubectl('logs', `deployment/${name}`)).toContain('the first line');
      });

      test('sees a change in get -w', async () => {
        const child = spawn(binary.file, ['get', 'configmaps', '--watch', '-o', 'name'], {
          env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: path.join(home, 'config') },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        try {
          let seen = '';
          child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
          await apply(map(`${name}-watched`, '1'));
          await eventually('get -w shows it', 15_000, () => seen.includes(`configmap/${name}-watched`));
        } finally {
          child.kill();
          await once(child, 'exit');
        }
      });

      test(minorOf(binary) >= 30 ? 'runs a command' : 'is told which kubectl can exec', async () => {
        const { code, stdout, stderr } = await run([
          'exec',
          `deployment/${name}`,
          '--',
          'echo',
          'from inside',
        ]);
        if (minorOf(binary) >= 30) expect(stdout).toBe('from inside\n');
        else {
          expect(code).not.toBe(0);
          expect(stderr).toContain('1.30');
        }
      });

      test(
        minorOf(binary) >= 31 ? 'forwards a port' : 'is told which kubectl can forward a port',
        async () => {
          const child = spawn(binary.file, ['port-forward', `deployment/${name}`, ':8080'], {
            env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: path.join(home, 'config') },
            stdio: ['ignore', 'pipe', 'pipe'],
          });
          let said = '';
          for (const stream of [child.stdout, child.stderr])
            stream.setEncoding('utf8').on('data', (text: string) => (said += text));
          try {
            if (minorOf(binary) < 31) {
              await once(child, 'exit');
              expect(said).toContain('1.31');
              return;
            }
            const port = await eventually(
              () => `a port; it said ${said}`,
              15_000,
              () => /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1],
            );
            expect(await echoed(Number(port), 'through the tunnel')).toBe('through the tunnel');
          } finally {
            child.kill();
            if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
          }
        },
      );

      test('is told in words why it cannot explain', async () => {
        const { code, stderr } = await run(['explain', 'pods']);
        expect(code).not.toBe(0);
        expect(stderr).toMatch(/explain|schema/i);
      });
    });

    test.each(binaries.filter((binary) => minorOf(binary) < 29))(
      'kubectl $version reads, and is told which version can apply',
      async (binary) => {
        const run = through(binary);
        expect(succeeded(await run(['get', 'pods']))).toContain('web-');
        const { code, stderr } = await run(['apply', '-f', '-'], map('old', '1'));
        expect(code).not.toBe(0);
        expect(stderr).toContain('1.29');
      },
    );
  });

  describe('with manifest?access=impersonate, its setting on, and Guardian’s other rights taken away', () => {
    const kubectl = through(newest ?? { file: '', version: '' });
    beforeAll(async () => {
      const manifest = await stack.api.get(`/v1/clusters/${clusterId}/manifest?access=impersonate`);
      const others = ['cattery:guardian-read', 'cattery:guardian-edit'];
      await admin(['delete', 'clusterrole,clusterrolebinding', '--ignore-not-found', ...others]);
      await admin(['apply', '--server-side', '-f', '-'], rightsIn(manifest.text));
      const settings = { body: { impersonation: true } };
      const { status } = await stack.api.send('PATCH', `/v1/clusters/${clusterId}`, settings);
      expect(status).toBe(200);
      await eventually(
        'users act as themselves',
        30_000,
        async () => (await kubectl(['get', 'quota'])).code === 0,
      );
    }, 60_000);

    test('users have the rights of their groups in the cluster', async () => {
      succeeded(await kubectl(['apply', '-f', '-'], map('impersonated', '1')));
      expect(succeeded(await kubectl(['auth', 'whoami', '-o', 'yaml']))).toContain('cattery:role:editor');
      expect(succeeded(await kubectl(['get', 'nodes']))).toContain('Ready');
    });

    test('the cluster names the user whom it refuses', async () => {
      const { code, stderr } = await kubectl(['get', 'clusterroles']);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/User "cattery:api-key:\S+" cannot list resource "clusterroles"/);
    });
  });
});

/** The rest wants the operator's kinds, which are not here. */
const rightsIn = (manifest: string): string =>
  manifest
    .split(/^---$/m)
    .filter((document) => document.includes('rbac.authorization.k8s.io'))
    .join('\n---\n');

function succeeded({ code, stdout, stderr }: Outcome, given: readonly string[] = []): string {
  if (code !== 0) throw new Error(`kubectl ${given.join(' ')} (${code}): ${stderr}`);
  return stdout;
}

/** What comes back of a text that a TCP port echoes. */
function echoed(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let back = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8').on('data', (part: string) => {
      back += part;
      if (back.length >= text.length) {
        socket.destroy();
        resolve(back);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(back)}`)));
  });
}
