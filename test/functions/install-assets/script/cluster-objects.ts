import type { KubeObject } from './kubectl-output.ts';
import { fullName, kindNamed, kindOf, type ResourceKind } from './resource-kinds.ts';

/** What kubectl says before it ends with 1. */
export class Refusal extends Error {}

export const unserved = (word: string): never => {
  throw new Refusal(`error: the server doesn't have a resource type "${word}"`);
};

/** The kind that a word means; a Refusal when there is none. */
export const kindCalled = (word: string): ResourceKind => kindNamed(word) ?? unserved(word);

/** A cluster's objects, in memory. */
export class ClusterObjects {
  readonly #objects = new Map<string, KubeObject>();
  #version = 0;

  /** Adds or replaces; each gets a new resourceVersion. */
  put(...objects: readonly KubeObject[]): void {
    for (const object of objects) {
      const { apiVersion, kind: name, metadata } = object;
      const kind = kindOf(apiVersion, name);
      if (!kind) throw new Error(`no such kind: ${apiVersion} ${name}`);
      const resourceVersion = String((this.#version += 1));
      const key = keyOf(kind, metadata.name, metadata.namespace);
      this.#objects.set(key, { ...object, metadata: { ...metadata, resourceVersion } });
    }
  }

  /** `word`: as `kubectl get` has it. */
  find(word: string, name: string, namespace?: string): KubeObject | undefined {
    return this.object(kindCalled(word), name, namespace);
  }

  remove(word: string, name: string, namespace?: string): void {
    this.discard(kindCalled(word), name, namespace);
  }

  /** All of the kind, by namespace and name; without one, of every kind. */
  all(word?: string): KubeObject[] {
    const prefix = word === undefined ? '' : `${fullName(kindCalled(word))}/`;
    const found = [...this.#objects].filter(([key]) => key.startsWith(prefix));
    return found.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, object]) => object);
  }

  protected object(kind: ResourceKind, name: string, namespace: string | undefined): KubeObject | undefined {
    return this.#objects.get(keyOf(kind, name, namespace));
  }

  /** A namespace goes with what is in it. Says whether it was there. */
  protected discard(kind: ResourceKind, name: string, namespace: string | undefined): boolean {
    if (kind.kind === 'Namespace')
      for (const [key, { metadata }] of this.#objects)
        if (metadata.namespace === name) this.#objects.delete(key);
    return this.#objects.delete(keyOf(kind, name, namespace));
  }

  /** Whether the API server knows the kind: a custom one once its CRD is there. */
  protected serves(kind: ResourceKind): boolean {
    return !kind.custom || this.find('crd', fullName(kind)) !== undefined;
  }
}

const keyOf = (kind: ResourceKind, name: string, namespace: string | undefined): string =>
  `${fullName(kind)}/${kind.namespaced ? (namespace ?? 'default') : ''}/${name}`;
