/** What kubectl has to do through a tunnel, for one of its versions: used by the stack's tests and by those of all versions. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { call, type KubectlBinary, minorOf, type Outcome } from '../kube/kubectl-binary.ts';
import { eventually } from './poll.ts';

export type KubectlSetting = {
  /** For files and for kubectl's own cache. */
  readonly home: string;
  readonly kubeconfig: string;
};

const deployment = (name: string) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: default }
spec:
  replicas: 1
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec: { containers: [{ name: app, image: "registry.example/app:1", ports: [{ containerPort: 8080 }] }] }
`;
const map = (name: string, value: string) => `apiVersion: v1
kind: ConfigMap
metadata: { name: ${name}, namespace: default }
data: { value: "${value}" }
`;

/** The list, against the demo cluster. */
export function kubectlList(binary: KubectlBinary, setting: () => KubectlSetting): void {
  const minor = minorOf(binary);
  const name = `list-v${minor}`;
  let home: string;
  let environment: Record<string, string>;
  beforeAll(async () => {
    home = path.join(setting().home, `kubectl-${binary.version}`);
    await mkdir(home, { recursive: true });
    environment = { KUBECONFIG: setting().kubeconfig };
  });
  const run = (
    given: readonly string[],
    input?: string,
    more: Record<string, string> = {},
  ): Promise<Outcome> =>
    call(binary.file, given, {
      home,
      environment: { ...environment, ...more },
      ...(input === undefined ? {} : { input }),
    });
  const kubectl = async (...given: string[]) => succeeded(await run(given), given);
  const apply = async (manifest: string, ...flags: string[]) =>
    succeeded(await run(['apply', ...flags, '-f', '-'], manifest), flags);

  describe('objects', () => {
    test('get, describe, logs, events', async () => {
      expect(await kubectl('get', 'pods', '-A')).toMatch(/shop\s+frontend-\S+\s+1\/1\s+Running/);
      expect(await kubectl('get', 'clusterinformation', 'default', '-o', 'name')).toContain('default');
      expect(await kubectl('describe', 'deployment', 'frontend', '-n', 'shop')).toContain('2 desired');
      // The demo lives from its first tick on.
      await eventually('the demo has written something', 20_000, async () =>
        /says tick \d+/.test(await kubectl('logs', 'deployment/cart', '-n', 'shop', '--tail=1')),
      );
      expect(await kubectl('events', '-n', 'shop')).toContain('Heartbeat');
    });

    test('version, api-resources, auth can-i', async () => {
      expect(await kubectl('version')).toMatch(/Server Version: v1\.\d+/);
      expect(await kubectl('api-resources', '-o', 'name')).toContain('deployments.apps');
      expect(await kubectl('auth', 'can-i', 'delete', 'pods')).toBe('yes\n');
    });

    test('apply from the client and from the server, edit, patch, delete', async () => {
      expect(await apply(map(name, '1'))).toContain('created');
      expect(await apply(map(name, '2'))).toContain('configured');
      expect(await apply(map(name, '3'), '--server-side', '--force-conflicts')).toContain(
        'serverside-applied',
      );
      const KUBE_EDITOR = "sed -i 's/value: .*/value: edited/'";
      const edited = await run(['edit', 'configmap', name, '-n', 'default'], undefined, { KUBE_EDITOR });
      expect(succeeded(edited, ['edit'])).toContain('edited');
      for (const [type, patch] of [
        ['strategic', '{"metadata":{"labels":{"one":"1"}}}'],
        ['merge', '{"data":{"two":"2"}}'],
        ['json', '[{"op":"add","path":"/data/three","value":"3"}]'],
      ] as const) {
        await kubectl('patch', 'configmap', name, '-n', 'default', `--type=${type}`, '-p', patch);
      }
      const data = await kubectl('get', 'configmap', name, '-n', 'default', '-o', 'jsonpath={.data}');
      expect(JSON.parse(data)).toEqual({ value: 'edited', two: '2', three: '3' });
      const { code, stderr } = await run(['apply', '-f', '-'], `${map(`${name}-bad`, '1')}unknown: true\n`);
      expect(code).not.toBe(0);
      expect(stderr).toContain('unknown field "unknown"');
      expect(await kubectl('delete', 'configmap', name, '-n', 'default')).toContain('deleted');
      expect((await run(['get', 'configmap', name, '-n', 'default'])).stderr).toContain('NotFound');
    });

    test('scale, rollout, wait', async () => {
      await apply(deployment(name));
      await kubectl('scale', `deployment/${name}`, '-n', 'default', '--replicas=2');
      await kubectl('rollout', 'status', `deployment/${name}`, '-n', 'default', '--timeout=30s');
      await kubectl('rollout', 'restart', `deployment/${name}`, '-n', 'default');
      await kubectl('rollout', 'status', `deployment/${name}`, '-n', 'default', '--timeout=30s');
      expect(await kubectl('rollout', 'history', `deployment/${name}`, '-n', 'default')).toMatch(
        /2\s+<none>/,
      );
      const condition = ['--for=condition=Available', '--timeout=20s'];
      expect(await kubectl('wait', `deployment/${name}`, '-n', 'default', ...condition)).toContain(
        'condition met',
      );
      const pods = await kubectl('get', 'pods', '-n', 'default', '-l', `app=${name}`, '-o', 'name');
      expect(pods.trim().split('\n')).toHaveLength(2);
      await kubectl('delete', `deployment/${name}`, '-n', 'default');
    });

    test('is told in words why there is no explain', async () => {
      const { code, stderr } = await run(['explain', 'pods']);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/explain|schema/i);
    });
  });

  describe('connections', () => {
    let pod: string;
    beforeAll(async () => {
      const given = ['get', 'pods', '-n', 'shop', '-l', 'app.kubernetes.io/name=frontend', '-o', 'name'];
      pod = (await kubectl(...given)).split('\n', 1)[0]?.replace('pod/', '') ?? '';
    });

    if (minor < 30) {
      test('exec is refused with the version that can', async () => {
        const { code, stderr } = await run(['exec', '-n', 'shop', pod, '--', 'hostname']);
        expect(code).not.toBe(0);
        expect(stderr).toContain('1.30');
      });
    } else {
      test('exec: output, exit code, half a megabyte both ways', async () => {
        expect(await kubectl('exec', '-n', 'shop', pod, '--', 'hostname')).toBe(`${pod}\n`);
        const { code } = await run(['exec', '-n', 'shop', pod, '--', 'sh', '-c', 'exit 3']);
        expect(code).toBe(3);
        const text = randomBytes(262_144).toString('hex');
        const back = await run(['exec', '-i', '-n', 'shop', pod, '--', 'cat'], text);
        expect(sha256(succeeded(back, ['exec']))).toBe(sha256(text));
      });

      test('attach shows what the pod writes', async () => {
        const child = spawn(binary.file, ['attach', '-n', 'shop', pod], {
          env: { PATH: process.env.PATH, HOME: home, ...environment },
        });
        let said = '';
        child.stdout.setEncoding('utf8').on('data', (more: string) => (said += more));
        child.stderr.resume();
        try {
          await eventually('a line comes', 20_000, () => said.includes('says tick'));
        } finally {
          child.kill();
          await once(child, 'exit');
        }
      });

      test('cp there and back', async () => {
        const bytes = randomBytes(300_000);
        await writeFile(path.join(home, 'there'), bytes);
        await kubectl('cp', '-n', 'shop', 'there', `${pod}:/tmp/there`);
        await kubectl('cp', '-n', 'shop', `${pod}:/tmp/there`, 'back');
        expect(sha256(await readFile(path.join(home, 'back')))).toBe(sha256(bytes));
      });
    }

    test(minor >= 31 ? 'port-forward' : 'port-forward is refused with the version that can', async () => {
      const child = spawn(binary.file, ['port-forward', '-n', 'shop', pod, ':8080'], {
        env: { PATH: process.env.PATH, HOME: home, ...environment },
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (more: string) => (said += more));
      try {
        if (minor < 31) {
          await once(child, 'exit');
          expect(said).toContain('1.31');
          return;
        }
        const port = await eventually(
          () => `a port; it said ${said}`,
          15_000,
          () => /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1],
        );
        for (const asked of ['/one', '/two']) {
          const answer = await fetch(`http://127.0.0.1:${port}${asked}`);
          expect(await answer.text()).toBe(`${pod}, port 8080: GET ${asked}\n`);
        }
      } finally {
        child.kill();
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      }
    });
  });
}

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

function succeeded({ code, stdout, stderr }: Outcome, given: readonly string[]): string {
  if (code !== 0) throw new Error(`kubectl ${given.join(' ')} (${code}): ${stderr}`);
  return stdout;
}
