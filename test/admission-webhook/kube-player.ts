/** What the webhook asks of a Kubernetes API, from memory, with versions as an API server has them. */
import { KubeApiError, type KubeApi } from '../../admission-webhook/kubernetes/kube-api.ts';

type Stored = { metadata: { name: string; resourceVersion: string } } & Record<string, unknown>;

export class KubePlayer implements Pick<KubeApi, 'read' | 'replace' | 'patch'> {
  readonly #objects = new Map<string, Stored>();
  #version = 0;
  /** `GET`, `PUT` or `PATCH` and the path of each request. */
  readonly requests: string[] = [];
  /** Runs before a change is made: another replica may be faster. */
  before: ((method: string, path: string) => void | Promise<void>) | undefined;

  put(path: string, object: object): void {
    this.#version += 1;
    const name = path.split('/').at(-1) ?? '';
    this.#objects.set(path, {
      ...structuredClone(object),
      metadata: { name, resourceVersion: String(this.#version) },
    });
  }

  get(path: string): Stored {
    const found = this.#objects.get(path);
    if (!found) throw new Error(`there is no ${path}`);
    return structuredClone(found);
  }

  delete(path: string): void {
    this.#objects.delete(path);
  }

  async read(path: string): Promise<unknown> {
    this.requests.push(`GET ${path}`);
    await this.before?.('GET', path);
    return this.#objects.has(path) ? this.get(path) : undefined;
  }

  async replace(path: string, object: object): Promise<void> {
    await this.#change('PUT', path, object as Stored);
    this.put(path, object);
  }

  /** Of a webhook configuration: its webhooks are merged by name. */
  async patch(path: string, patch: object): Promise<void> {
    const given = patch as Stored & { webhooks: { name: string; clientConfig: object }[] };
    await this.#change('PATCH', path, given);
    const found = this.get(path) as Stored & { webhooks: { name: string; clientConfig: object }[] };
    const webhooks = found.webhooks.map((each) => {
      const its = given.webhooks.find(({ name }) => name === each.name);
      return its ? { ...each, clientConfig: { ...each.clientConfig, ...its.clientConfig } } : each;
    });
    this.put(path, { ...found, webhooks });
  }

  async #change(method: string, path: string, { metadata: { resourceVersion } }: Stored): Promise<void> {
    this.requests.push(`${method} ${path}`);
    await this.before?.(method, path);
    const stored = this.#objects.get(path);
    if (!stored) throw new KubeApiError(404, `${method} ${path} was answered 404`);
    if (stored.metadata.resourceVersion !== resourceVersion) {
      throw new KubeApiError(409, `${method} ${path} was answered 409`);
    }
  }
}

export const secretPath = '/api/v1/namespaces/cattery-system/secrets/cattery-admission-tls';
export const configurationPath =
  '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/cattery-admission';

/** As the manifest makes both: an empty Secret, and a webhook without a caBundle. */
export function freshlyApplied(): KubePlayer {
  const kube = new KubePlayer();
  kube.put(secretPath, { type: 'Opaque' });
  kube.put(configurationPath, {
    webhooks: [{ name: 'cattery-admission.cattery-system.svc', clientConfig: { service: { name: 'x' } } }],
  });
  return kube;
}
