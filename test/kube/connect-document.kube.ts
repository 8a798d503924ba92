/** docs/connect-a-cluster.md, followed to the letter with real kubectl and a real Kubernetes API; the Tigera operator is played. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { cluster, type ClusterView } from '../../core/cluster/cluster-schema.ts';
import { blocksUnder, withOwnValues } from '../stack/document-commands.ts';
import { eventually } from '../stack/poll.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { calicoManifests } from './calico-manifests.ts';
import { KubeClient } from './kube-client.ts';
import { kubectlBinaries } from './kubectl-binary.ts';
import { type Kube, startKube } from './kube-process.ts';
import { type OperatorPlayer, startOperatorPlayer } from './operator-player.ts';
import { type Run, Workstation } from './workstation.ts';

const newest = kubectlBinaries().at(-1);
const possible = newest !== undefined && calicoManifests !== undefined;
if (newest === undefined)
  console.log('kubectl is not on the PATH: docs/connect-a-cluster.md is not followed');

const connectionPath = '/apis/operator.tigera.io/v1/managementclusterconnections/tigera-secure';

(possible ? describe : describe.skip)('docs/connect-a-cluster.md', () => {
  let home: string;
  let kube: Kube;
  let stack: Stack;
  let player: OperatorPlayer;
  let client: KubeClient;
  let workstation: Workstation;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-document-'));
    [kube, stack] = await Promise.all([
      startKube(),
      startStack({
        data: path.join(home, 'data'),
        arguments: ['--no-demo', '--manifests', calicoManifests ?? ''],
      }),
    ]);
    player = await startOperatorPlayer({ kube });
    client = await KubeClient.of(kube);
    workstation = await Workstation.make({ kubectl: newest?.file ?? '', kubeconfig: kube.kubeconfig });
  }, 240_000);
  afterAll(async () => {
    stack.disconnect();
    await player.close();
    client.close();
    await kube.close();
    await stack.process.destroy();
    await workstation.destroy();
    await rm(home, { recursive: true, force: true });
  });

  /** Runs blocks of the document one after the other in one shell, after the lines with the reader's own values. */
  async function follow(name: string, ...blocks: readonly string[]): Promise<Run> {
    const [settings = ''] = await blocksUnder('With one command');
    const own = withOwnValues(settings.split('\n').slice(0, 2).join('\n'), {
      api: stack.state.apiUrl,
      ca: stack.state.caFile,
      name,
      token: stack.state.adminToken,
    });
    const lines = [own, ...blocks.map((block) => block.replace(/^API=\S+ CA=.*\nTOKEN=.*\n/, ''))];
    const done = await workstation.run(`set -eu\n${lines.join('\n')}`);
    if (done.code !== 0) throw new Error(`It ended with ${done.code}:\n${done.stdout}\n${done.stderr}`);
    return done;
  }

  async function clusters(): Promise<ClusterView[]> {
    const { json } = await stack.api.get('/v1/clusters');
    return cluster.array().parse((json as { items: unknown }).items);
  }
  const file = (name: string) => readFile(path.join(workstation.home, name), 'utf8');

  test('looking before tells what would be done, and does nothing', async () => {
    const look = (
      await Promise.all(['Look before', 'Images from a private registry', 'Behind a proxy'].map(blocksUnder))
    ).flat();
    // What the reader has: a password for a registry.
    await mkdir(path.join(workstation.home, '.docker'));
    await writeFile(
      path.join(workstation.home, '.docker/config.json'),
      '{"auths":{"registry.example:5000":{}}}',
    );
    const { stdout } = await follow('prod-1', ...look);
    expect(stdout).toContain('install.sh: OK');
    expect(stdout).toMatch(/--context CONTEXT[^]*--uninstall/);
    expect(stdout).toContain('quay.io/calico/node:v3.32.1');
    expect(stdout).toContain('registry: registry.example:5000/');
    expect(stdout).toContain('httpsProxy: http://proxy.example:3128');
    const kinds = parseAllDocuments(await file('would-be-applied.yaml')).map((each) => each.get('kind'));
    expect(kinds).toEqual(expect.arrayContaining(['Installation', 'ManagementClusterConnection']));
    expect(await clusters()).toEqual([]);
    expect(await client.get('/api/v1/namespaces/cattery-system')).toBeUndefined();
    expect(await client.get('/api/v1/namespaces/tigera-operator')).toBeUndefined();
  }, 60_000);

  test('one command connects a cluster that has nothing yet, and kubectl gets there', async () => {
    const [token = '', install = '', reach = ''] = await blocksUnder('With one command');
    await follow('prod-1', token, install);
    expect(await clusters()).toMatchObject([{ clusterName: 'prod-1', state: 'connected' }]);
    expect(player.complaints).toEqual([]);
    const { stdout } = await follow('prod-1', reach);
    expect(stdout).toMatch(/calico-system\s+calico-node-\S+\s+1\/1\s+Running/);
  }, 240_000);

  test('one command renews its certificate', async () => {
    const [before] = await clusters();
    await follow('prod-1', ...(await blocksUnder('Renew its certificate')));
    const [after] = await clusters();
    expect(after).toMatchObject({ clusterId: before?.clusterId, state: 'connected' });
    expect(after?.certificate.fingerprint).not.toBe(before?.certificate.fingerprint);
    expect(player.running?.fingerprint).toBe(after?.certificate.fingerprint);
  }, 120_000);

  test('one command disconnects it and leaves Calico', async () => {
    await follow('prod-1', ...(await blocksUnder('Disconnect it')));
    expect(await clusters()).toEqual([]);
    expect(await client.get(connectionPath)).toBeUndefined();
    expect(await client.get('/api/v1/namespaces/cattery-system')).toBeUndefined();
    expect(await client.get('/apis/operator.tigera.io/v1/installations/default')).toBeDefined();
  }, 120_000);

  test('by hand it is connected as well, and the installer renews and disconnects what was connected by hand', async () => {
    const [commands = '', lookedAt = ''] = await blocksUnder('By hand');
    await follow('by-hand', commands);
    await eventually('it is connected', 30_000, async () => (await clusters())[0]?.state === 'connected');
    const [before] = await clusters();
    const { stdout } = await follow('by-hand', `CLUSTER=${before?.clusterId ?? ''}\n${lookedAt}`);
    expect(stdout).toContain('"state":"connected"');
    await follow('by-hand', ...(await blocksUnder('Renew its certificate')));
    const [after] = await clusters();
    expect(after?.certificate.fingerprint).not.toBe(before?.certificate.fingerprint);
    await follow('by-hand', ...(await blocksUnder('Disconnect it')));
    expect(await clusters()).toEqual([]);
    expect(await client.get('/api/v1/namespaces/cattery-system')).toBeUndefined();
  }, 240_000);
});
