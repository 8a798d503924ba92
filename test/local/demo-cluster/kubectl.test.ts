import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startLife } from '../../../local/demo-cluster/demo-life.ts';
import { addDemoObjects } from '../../../local/demo-cluster/demo-objects.ts';
import type { KubeApi } from '../../../local/demo-cluster/kube-api-server.ts';
import { startKubeApi } from '../../../local/demo-cluster/kube-api-server.ts';

const run = promisify(execFile);
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
if (!hasKubectl) console.log('kubectl is not on the PATH: its smoke tests against the demo API are skipped');

(hasKubectl ? describe : describe.skip)('kubectl, used directly on the demo API', () => {
  let api: KubeApi;
  let home: string;
  beforeAll(async () => {
    api = await startKubeApi();
    addDemoObjects(api.store, new Date());
    home = await mkdtemp(join(tmpdir(), 'cattery-kubectl-'));
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'demo',
      clusters: [
        {
          name: 'demo',
          cluster: { server: api.url, 'certificate-authority-data': Buffer.from(api.ca).toString('base64') },
        },
      ],
      users: [{ name: 'demo', user: { token: api.token } }],
      contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'demo', namespace: 'shop' } }],
    };
    await writeFile(join(home, 'config'), JSON.stringify(config));
  });
  afterAll(async () => {
    await api.close();
    await rm(home, { recursive: true });
  });

  const environment = () => ({ ...process.env, HOME: home, KUBECONFIG: join(home, 'config') });
  const kubectl = async (...args: string[]) => (await run('kubectl', args, { env: environment() })).stdout;

  test('lists, describes and names what is there', async () => {
    expect(await kubectl('get', 'pods', '-A')).toMatch(/calico-system\s+goldmane-\S+\s+1\/1\s+Running/);
    expect(await kubectl('api-resources', '-o', 'name')).toContain('clusterinformations.projectcalico.org');
    expect(await kubectl('describe', 'deployment', 'frontend')).toContain('2 desired | 2 updated');
    expect(await kubectl('version')).toContain('cattery-demo');
    expect(
      await kubectl('get', 'clusterinformation', 'default', '-o', 'jsonpath={.spec.calicoVersion}'),
    ).toBe('v3.32.1');
  });

  test('applies, rehearses, patches, scales and deletes', async () => {
    const file = join(home, 'map.yaml');
    await writeFile(file, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\ndata: {a: "1"}\n');
    expect(await kubectl('apply', '--dry-run=server', '-f', file)).toContain('created (server dry run)');
    expect(await kubectl('apply', '-f', file)).toContain('created');
    expect(await kubectl('apply', '-f', file)).toContain('unchanged');
    expect(await kubectl('apply', '--server-side', '--field-manager', 'x', '-f', file)).toContain(
      'serverside-applied',
    );
    expect(await kubectl('label', 'configmap', 'kept', 'team=cats')).toContain('labeled');
    await kubectl('scale', 'deployment', 'cart', '--replicas=2');
    expect(await kubectl('get', 'deployment', 'cart', '-o', 'jsonpath={.spec.replicas}')).toBe('2');
    expect(await kubectl('delete', 'configmap', 'kept')).toContain('deleted');
  });

  test('creates with the typed clients, too', async () => {
    expect(await kubectl('create', 'namespace', 'fresh')).toContain('created');
    expect(await kubectl('create', 'configmap', 'made', '-n', 'fresh', '--from-literal=a=b')).toContain(
      'created',
    );
    expect(await kubectl('get', 'configmap', 'made', '-n', 'fresh', '-o', 'jsonpath={.data.a}')).toBe('b');
    expect(
      await kubectl(
        'create',
        'deployment',
        'web',
        '-n',
        'fresh',
        '--image=nginx',
        '--replicas=2',
        '--port=80',
      ),
    ).toContain('created');
    expect(
      await kubectl(
        'get',
        'deployment',
        'web',
        '-n',
        'fresh',
        '-o',
        'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}',
      ),
    ).toBe('2 80');
  });

  test('sees rows arrive in get -w', async () => {
    const life = startLife({ store: api.store, logs: api.logs, intervalMs: 50 });
    const child = spawn('kubectl', ['get', 'pods', '--watch-only'], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const rows: string[] = [];
    for await (const row of createInterface({ input: child.stdout })) {
      rows.push(row);
      if (rows.length === 5) break;
    }
    child.kill();
    await once(child, 'exit');
    life.stop();
    expect(rows[0]).toMatch(/^NAME\s+READY\s+STATUS/);
    expect(rows.slice(1).join('\n')).toContain('orders-worker-');
  });

  test('is told Forbidden and Unauthorized in words', async () => {
    await expect(kubectl('get', 'pods', '--as', 'root')).rejects.toMatchObject({
      stderr: expect.stringContaining('cannot impersonate'),
    });
    await expect(kubectl('get', 'pods', '--token', 'wrong')).rejects.toMatchObject({
      stderr: expect.stringContaining('Unauthorized'),
    });
  });
});
