/**
 * Plays the Tigera operator of a test's cluster. SIMULATED: nothing here is the operator's own code, no network is made,
 * and what it reports as running runs only as KWOK says so. It does what an installer can see of the operator, once the
 * operator's Deployment is available: defaults, statuses, the objects in calico-system, and Guardian (guardian-player.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { catalogue } from '../../core/release/catalogue.ts';
import { AppliedObjects, workload } from './applied-objects.ts';
import { type GuardianLife, GuardianPlayer } from './guardian-player.ts';
import { KubeClient, type KubeObject } from './kube-client.ts';
import type { Kube } from './kube-process.ts';

export type OperatorPlayer = {
  /** Every start of Guardian so far, the present one last. */
  readonly lives: readonly GuardianLife[];
  /** Whether one runs now. */
  readonly running: GuardianLife | undefined;
  /** Why Guardian could not start, each reason once; and what went wrong with the player itself. */
  readonly complaints: readonly string[];
  /** Stops Guardian and stops looking; the cluster's objects stay. */
  close(): Promise<void>;
};

type Options = {
  readonly kube: Kube;
  /** Further operators and the Calico that they bring. */
  readonly releases?: Readonly<Record<string, string>>;
};

const operatorApi = '/apis/operator.tigera.io/v1';
const lookEveryMs = 150;

const deployment = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({
      spec: z.looseObject({ containers: z.array(z.looseObject({ image: z.string() })) }),
    }),
  }),
  status: z.looseObject({ availableReplicas: z.int().optional() }).optional(),
});
const daemonSet = z.looseObject({
  status: z
    .looseObject({ numberReady: z.int().optional(), desiredNumberScheduled: z.int().optional() })
    .optional(),
});
const conditions = z.looseObject({
  status: z
    .looseObject({
      conditions: z.array(
        z.looseObject({ type: z.string(), status: z.string(), message: z.string().optional() }),
      ),
    })
    .optional(),
});

type Standing = { readonly state: 'available' | 'progressing' | 'degraded'; readonly message: string };

export async function startOperatorPlayer(options: Options): Promise<OperatorPlayer> {
  const client = await KubeClient.of(options.kube);
  return new Player(options.kube, client, { ...onOffer(), ...options.releases });
}

class Player implements OperatorPlayer {
  readonly complaints: string[] = [];
  readonly #guardian: GuardianPlayer;
  readonly #objects: AppliedObjects;
  readonly #client: KubeClient;
  readonly #releases: Readonly<Record<string, string>>;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  /**
   * What has been ready once stays it: on a busy machine the node misses heartbeats, and then all its pods are called
   * unready, though nothing has happened to what they play.
   */
  readonly #onceReady = new Set<string | undefined>();

  constructor(kube: Kube, client: KubeClient, releases: Readonly<Record<string, string>>) {
    this.#client = client;
    this.#objects = new AppliedObjects(client);
    const complain = (text: string) => this.#complain(text);
    this.#guardian = new GuardianPlayer({ kube, client, objects: this.#objects, complain });
    this.#releases = releases;
    this.#ended = this.#look();
  }

  get lives(): readonly GuardianLife[] {
    return this.#guardian.lives;
  }

  get running(): GuardianLife | undefined {
    return this.#guardian.running;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#ended;
    await this.#guardian.stop();
    this.#client.close();
  }

  async #look(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#reconcile();
      } catch (error) {
        this.#complain(`the player failed: ${String(error)}`);
      }
      await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #isReady({ metadata: { uid } }: KubeObject, now: boolean): boolean {
    if (now) this.#onceReady.add(uid);
    return this.#onceReady.has(uid);
  }

  #complain(text: string): void {
    if (!this.complaints.includes(text)) this.complaints.push(text);
  }

  /** What is there now decides what is done, as in the operator's own loop. */
  async #reconcile(): Promise<void> {
    const version = await this.#operatorVersion();
    if (version === undefined) return;
    const calico = this.#releases[version];
    if (calico === undefined) throw new Error(`operator ${version} is of no release known here`);
    const [installation, apiServer, goldmane, whisker, connected] = await Promise.all([
      this.#client.get(`${operatorApi}/installations/default`),
      this.#client.get(`${operatorApi}/apiservers/default`),
      this.#client.get(`${operatorApi}/goldmanes/default`),
      this.#client.get(`${operatorApi}/whiskers/default`),
      // Every lookup of the operator's uses this name (guardian.md 5).
      this.#client.get(`${operatorApi}/managementclusterconnections/tigera-secure`),
    ]);
    const installed = await this.#component('calico', 'Installation', installation, (owner) =>
      this.#calico(owner, calico),
    );
    const unready: Standing = { state: 'degraded', message: 'Waiting for Installation to be ready' };
    const others = [
      ['apiserver', 'APIServer', apiServer, 'calico-apiserver'],
      ['goldmane', 'Goldmane', goldmane, 'goldmane'],
      ['whisker', 'Whisker', whisker, 'whisker'],
    ] as const;
    for (const [name, kind, found, workloadName] of others)
      await this.#component(name, kind, found, async (owner) =>
        installed ? this.#workload(workloadName, owner, calico) : unready,
      );
    await this.#component(
      'management-cluster-connection',
      'ManagementClusterConnection',
      connected,
      async (owner) => {
        if (!installed) return unready;
        const message = await this.#guardian.reconcile(owner);
        return message ? { state: 'degraded', message } : this.#workload('guardian', owner, calico);
      },
    );
    if (!connected) await this.#guardian.stop();
  }

  /** undefined: there is no operator, or none that runs. */
  async #operatorVersion(): Promise<string | undefined> {
    const found = await this.#client.get(
      '/apis/apps/v1/namespaces/tigera-operator/deployments/tigera-operator',
    );
    if (!found) return undefined;
    const { spec, status } = deployment.parse(found);
    if (!this.#isReady(found, Boolean(status?.availableReplicas))) return undefined;
    return spec.template.spec.containers[0]?.image.split(':').at(-1);
  }

  /** Does a component's work and tells its TigeraStatus; says whether it is available. Without its object it has no status. */
  async #component(
    name: string,
    kind: string,
    object: KubeObject | undefined,
    work: (owner: KubeObject) => Promise<Standing>,
  ): Promise<boolean> {
    const path = `${operatorApi}/tigerastatuses/${name}`;
    if (!object) {
      await this.#objects.collect(kind);
      if (await this.#client.get(path)) await this.#client.delete(path);
      return false;
    }
    const standing = await work(object);
    const { state, message } = standing;
    const wanted = (['available', 'progressing', 'degraded'] as const).map((type) => ({
      type: `${type.charAt(0).toUpperCase()}${type.slice(1)}`,
      status: type === state ? 'True' : 'False',
      message: type === state ? message : '',
    }));
    const found = await this.#client.get(path);
    const told = found && conditions.parse(found).status?.conditions;
    if (told && wanted.every((each, index) => same(each, told[index]))) return state === 'available';
    await this.#objects.ensure(path, {
      apiVersion: 'operator.tigera.io/v1',
      kind: 'TigeraStatus',
      metadata: { name },
    });
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+/, '');
    const reason = state === 'degraded' ? 'ResourceNotReady' : 'AllObjectsAvailable';
    await this.#client.patch(`${path}/status`, {
      status: {
        conditions: wanted.map((each) => ({ ...each, reason, lastTransitionTime, observedGeneration: 1 })),
      },
    });
    return state === 'available';
  }

  async #calico(owner: KubeObject, version: string): Promise<Standing> {
    const path = `${operatorApi}/installations/default`;
    const { spec } = z
      .looseObject({ spec: z.looseObject({ variant: z.string().optional() }).optional() })
      .parse(owner);
    // The operator writes its defaults back.
    if (!spec?.variant)
      await this.#client.patch(path, { spec: { variant: 'Calico', cni: { type: 'Calico' } } });
    await this.#objects.ensure('/api/v1/namespaces/calico-system', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'calico-system', labels: { name: 'calico-system' } },
    });
    const node = await this.#objects.ensure(
      '/apis/apps/v1/namespaces/calico-system/daemonsets/calico-node',
      workload('DaemonSet', 'calico-node', owner, `quay.io/calico/node:${version}`),
    );
    const { status } = daemonSet.parse(node);
    const controllers = await this.#workload('calico-kube-controllers', owner, version, 'kube-controllers');
    const wanted = status?.desiredNumberScheduled ?? 0;
    if (!this.#isReady(node, wanted > 0 && status?.numberReady === wanted))
      return { state: 'progressing', message: 'DaemonSet "calico-system/calico-node" is not available' };
    if (controllers.state !== 'available') return controllers;
    // calico-node's work, in truth.
    await this.#objects.ensure('/apis/crd.projectcalico.org/v1/clusterinformations/default', {
      apiVersion: 'crd.projectcalico.org/v1',
      kind: 'ClusterInformation',
      metadata: { name: 'default' },
      spec: { calicoVersion: version, datastoreReady: true },
    });
    const told = z
      .looseObject({ status: z.looseObject({ calicoVersion: z.string().optional() }).optional() })
      .parse(owner);
    if (told.status?.calicoVersion !== version)
      await this.#client.patch(`${path}/status`, { status: { calicoVersion: version, variant: 'Calico' } });
    return available;
  }

  /** A Deployment of calico-system that KWOK says to run. */
  async #workload(name: string, owner: KubeObject, version: string, image = name): Promise<Standing> {
    const made = await this.#objects.ensure(
      `/apis/apps/v1/namespaces/calico-system/deployments/${name}`,
      workload('Deployment', name, owner, `quay.io/calico/${image.replace(/^calico-/, '')}:${version}`),
    );
    return this.#isReady(made, Boolean(deployment.parse(made).status?.availableReplicas))
      ? available
      : { state: 'progressing', message: `Deployment "calico-system/${name}" is not available` };
  }
}

/** Which Calico an operator brings: of the catalogue's releases. */
const onOffer = (): Record<string, string> =>
  Object.fromEntries(catalogue().releases.map(({ operatorVersion, version }) => [operatorVersion, version]));

const available: Standing = { state: 'available', message: 'All objects available' };
const same = (
  wanted: { type: string; status: string; message: string },
  told: { type: string; status: string; message?: string | undefined } | undefined,
): boolean => told?.type === wanted.type && told.status === wanted.status && told.message === wanted.message;
