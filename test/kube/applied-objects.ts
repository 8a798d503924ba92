import type { KubeClient, KubeObject } from './kube-client.ts';

/** An object to be applied. */
export type Given = {
  readonly [member: string]: unknown;
  readonly metadata: {
    readonly [member: string]: unknown;
    readonly ownerReferences?: readonly { readonly kind: string | undefined }[];
  };
};

/** The objects that a player of the operator's has made, and for which object of the user's each. */
export class AppliedObjects {
  readonly #client: KubeClient;
  /** What each path was last given, and the kind of the object that this was made for. */
  readonly #given = new Map<string, { readonly text: string; readonly ownerKind: string | undefined }>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Applies an object that is absent, or that is to be another than it was last given. */
  async ensure(path: string, object: Given): Promise<KubeObject> {
    const text = JSON.stringify(object);
    const found = this.#given.get(path)?.text === text ? await this.#client.get(path) : undefined;
    if (found) return found;
    const made = await this.#client.apply(path, object, 'operator');
    this.#given.set(path, { text, ownerKind: object.metadata.ownerReferences?.[0]?.kind });
    return made;
  }

  /** What was made for an object that is gone. The cluster's own collector would do it, half a minute after a kind is new. */
  async collect(kind: string): Promise<void> {
    for (const [path, { ownerKind }] of this.#given) {
      if (ownerKind !== kind) continue;
      await this.#client.delete(path);
      this.#given.delete(path);
    }
  }
}

/** What is made for an object goes with it: the cluster's own garbage collector sees to that. */
export const referenceTo = ({ apiVersion, kind, metadata: { name, uid } }: KubeObject) => ({
  apiVersion,
  kind,
  name,
  uid,
});

/** A Deployment or DaemonSet of calico-system, which KWOK says to run. */
export const workload = (
  kind: 'Deployment' | 'DaemonSet',
  name: string,
  owner: KubeObject,
  image: string,
) => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name, namespace: 'calico-system', ownerReferences: [referenceTo(owner)] },
  spec: {
    ...(kind === 'Deployment' ? { replicas: 1, strategy: { type: 'Recreate' } } : {}),
    selector: { matchLabels: { 'k8s-app': name } },
    template: {
      metadata: { labels: { 'k8s-app': name } },
      spec: { containers: [{ name, image }], tolerations: [{ operator: 'Exists' }] },
    },
  },
});
