/** A cluster of a user's with a workstation in front of it, and what tests of install.sh ask of both and of Cattery. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { registrationTokenIssued } from '../../core/credential/registration-token-schema.ts';
import { cluster, type ClusterView } from '../../core/cluster/cluster-schema.ts';
import { type Progress, progress } from '../../core/cluster/progress-schema.ts';
import { eventually } from '../stack/poll.ts';
import type { Stack } from '../stack/stack.ts';
import { difference, inventory } from './inventory.ts';
import { KubeClient } from './kube-client.ts';
import { type Kube, startKube } from './kube-process.ts';
import { call, type KubectlBinary, type Outcome } from './kubectl-binary.ts';
import { type OperatorPlayer, startOperatorPlayer } from './operator-player.ts';
import { Workstation } from './workstation.ts';

const clusterList = z.object({ items: z.array(cluster) });
const logTrustSecrets = ['tigera-voltron-linseed-certs-public', 'calico-voltron-linseed-certs-public'];
const secret = z.looseObject({ data: z.record(z.string(), z.string()).optional() });
const configMap = z.looseObject({ data: z.record(z.string(), z.string()).optional() });

export class InstallSite {
  readonly kube: Kube;
  readonly client: KubeClient;
  readonly operator: OperatorPlayer;
  readonly workstation: Workstation;
  readonly #stack: Stack;
  readonly #kubectl: KubectlBinary;

  private constructor(
    stack: Stack,
    kubectl: KubectlBinary,
    parts: Pick<InstallSite, 'kube' | 'client' | 'operator' | 'workstation'>,
  ) {
    this.#stack = stack;
    this.#kubectl = kubectl;
    this.kube = parts.kube;
    this.client = parts.client;
    this.operator = parts.operator;
    this.workstation = parts.workstation;
  }

  static async start(
    stack: Stack,
    { kubectl, shell }: { kubectl: KubectlBinary; shell?: string },
  ): Promise<InstallSite> {
    const kube = await startKube();
    const client = await KubeClient.of(kube);
    const operator = await startOperatorPlayer({ kube });
    const workstation = await Workstation.make({
      kubectl: kubectl.file,
      kubeconfig: kube.kubeconfig,
      ...(shell && { shell }),
    });
    const site = new InstallSite(stack, kubectl, { kube, client, operator, workstation });
    await site.#settled();
    return site;
  }

  async close(): Promise<void> {
    await this.operator.close();
    this.client.close();
    await this.kube.close();
    await this.workstation.destroy();
  }

  /** As the cluster's administrator, past Cattery and past the workstation's faults. */
  async admin(given: readonly string[], input?: string): Promise<string> {
    const outcome = await this.#as(this.kube.kubeconfig, given, input);
    if (outcome.code !== 0) throw new Error(`kubectl ${given.join(' ')}: ${outcome.stderr}`);
    return outcome.stdout;
  }

  /** Upstream's way of installing Calico, by hand. `edit`: of the custom resources. */
  async installCalico(directory: string, edit: (text: string) => string = (text) => text): Promise<void> {
    await this.admin(['apply', '--server-side', '-f', path.join(directory, 'operator-crds.yaml')]);
    await this.admin(['create', '-f', path.join(directory, 'tigera-operator.yaml')]);
    const resources = edit(await readFile(path.join(directory, 'custom-resources.yaml'), 'utf8'));
    await this.admin(['create', '-f', '-'], resources);
  }

  /** Until the operator says so of the whole of it. */
  async calicoAvailable(): Promise<void> {
    await eventually('Calico is available', 60_000, async () => {
      const { stdout } = await this.#as(this.kube.kubeconfig, [
        'get',
        'tigerastatus',
        'calico',
        '-o',
        'jsonpath={.status.conditions[?(@.type=="Available")].status}',
      ]);
      return stdout === 'True';
    });
  }

  /** Applies what `manifest?access=edit` grants beyond the connection itself. */
  async grantEdit(clusterId: string): Promise<void> {
    const { text } = await this.#stack.api.get(`/v1/clusters/${clusterId}/manifest?access=edit`);
    const rights = text.split(/^---$/m).filter((each) => each.includes('rbac.authorization.k8s.io'));
    await this.admin(['apply', '--server-side', '-f', '-'], rights.join('\n---\n'));
  }

  /** An API that has just started makes objects of its own for some seconds. */
  async #settled(): Promise<void> {
    let last = await this.inventory();
    let since = performance.now();
    await eventually('the API makes no more objects', 60_000, async () => {
      const now = await this.inventory();
      const { came, went, changed } = difference(last, now);
      if (came.length + went.length + changed.length > 0) since = performance.now();
      last = now;
      return now.has('configmaps/default/kube-root-ca.crt') && performance.now() - since > 1_500;
    });
  }

  inventory(): Promise<ReadonlyMap<string, string>> {
    return inventory(this.client);
  }

  /** Text of one entry of a Secret; undefined when there is none. */
  async secret(namespace: string, name: string, entry: string): Promise<string | undefined> {
    const found = await this.client.get(`/api/v1/namespaces/${namespace}/secrets/${name}`);
    const value = found && secret.parse(found).data?.[entry];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  }

  /** What install.sh keeps of itself. */
  async kept(): Promise<Readonly<Record<string, string>>> {
    const found = await this.client.get('/api/v1/namespaces/cattery-system/configmaps/cattery-install');
    return (found && configMap.parse(found).data) ?? {};
  }

  /** Takes away by hand what connects the cluster, and all that install.sh keeps of it but the namespace. */
  async disconnect(): Promise<void> {
    await this.client.delete('/apis/operator.tigera.io/v1/managementclusterconnections/tigera-secure');
    const secrets = '/api/v1/namespaces/tigera-operator/secrets';
    for (const name of ['tigera-managed-cluster-connection', ...logTrustSecrets])
      await this.client.delete(`${secrets}/${name}`);
    const { clusterId } = await this.kept();
    await this.client.delete('/api/v1/namespaces/cattery-system/secrets/cattery-identity');
    await this.client.delete('/api/v1/namespaces/cattery-system/configmaps/cattery-install');
    if (clusterId) await this.#stack.api.send('DELETE', `/v1/clusters/${clusterId}`);
    await eventually('Guardian is gone', 30_000, () => this.operator.running === undefined);
  }

  /** A fresh registration token. */
  async token(clusterName?: string): Promise<string> {
    const { json } = await this.#stack.api.post(
      '/v1/registration-tokens',
      clusterName ? { clusterName } : {},
    );
    return registrationTokenIssued.parse(json).token;
  }

  /** Of the tenant's clusters, those of this name. */
  async clusters(clusterName: string): Promise<ClusterView[]> {
    const { json } = await this.#stack.api.get('/v1/clusters?limit=200');
    return clusterList.parse(json).items.filter((each) => each.clusterName === clusterName);
  }

  /** The one of this name. */
  async cluster(clusterName: string): Promise<ClusterView> {
    const found = await this.clusters(clusterName);
    const [only] = found;
    if (!only || found.length > 1) throw new Error(`${found.length} clusters are named ${clusterName}`);
    return only;
  }

  async progress(clusterId: string): Promise<Progress> {
    const { status, json, text } = await this.#stack.api.get(`/v1/clusters/${clusterId}/progress`);
    if (status !== 200) throw new Error(`the progress was answered ${status}: ${text}`);
    return progress.parse(json);
  }

  /** Cattery's own way into the cluster, as a file: with a token inside. */
  async kubeconfig(clusterId: string): Promise<string> {
    const file = path.join(this.workstation.home, `${clusterId}.kubeconfig`);
    const { text } = await this.#stack.api.get(`/v1/clusters/${clusterId}/kubeconfig?embed=token`);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  /** kubectl through the tunnel. */
  through(kubeconfig: string, given: readonly string[], input?: string): Promise<Outcome> {
    return this.#as(kubeconfig, given, input);
  }

  #as(kubeconfig: string, given: readonly string[], input?: string): Promise<Outcome> {
    return call(this.#kubectl.file, given, {
      home: this.workstation.home,
      environment: { KUBECONFIG: kubeconfig },
      ...(input === undefined ? {} : { input }),
    });
  }
}
