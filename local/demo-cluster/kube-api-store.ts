import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from './kube-json.ts';
import { copyOf, numberAt } from './kube-json.ts';
import type { Resource } from './kube-api-resource.ts';
import { conflict, KubeError, notFound, qualifiedName } from './kube-api-status.ts';

/** One change in the order in which it happened; `before` tells a selector what an object used to be. */
export type Change = {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: KubeObject;
  before: KubeObject | undefined;
};

export type StoreOptions = {
  now?: () => Date;
  /** Changes remembered per kind for watches that resume; a watch from before them gets 410. */
  historyLimit?: number;
};

export type WriteOptions = { dryRun?: boolean };

type Shelf = {
  objects: Map<string, KubeObject>;
  history: Change[];
  forgotten: number;
  listeners: Set<(change: Change) => void>;
};

const keyOf = (namespace: string | undefined, name: string) => `${namespace ?? ''}/${name}`;
const withVersion = (object: KubeObject, version: number): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: String(version) },
});

/**
 * The objects of the demo cluster, in memory, with resource versions and a bounded history. Objects handed out are
 * shared: nobody may change them in place.
 */
export class KubeStore {
  readonly #now: () => Date;
  readonly #historyLimit: number;
  readonly #shelves = new Map<Resource, Shelf>();
  readonly #start: number;
  #version: number;

  constructor(options: StoreOptions = {}) {
    this.#now = options.now ?? (() => new Date());
    this.#historyLimit = options.historyLimit ?? 2000;
    // Versions begin with the clock, so that one from before a restart is recognised as too old rather than reused.
    this.#start = Math.floor(this.#now().getTime() / 1000) * 100;
    this.#version = this.#start;
  }

  /** The version of the latest change to anything. */
  get version(): number {
    return this.#version;
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject {
    const found = this.#shelf(resource).objects.get(keyOf(namespace, name));
    if (!found) throw notFound(resource, name);
    return found;
  }

  has(resource: Resource, namespace: string | undefined, name: string): boolean {
    return this.#shelf(resource).objects.has(keyOf(namespace, name));
  }

  /** All objects of a kind, or those of one namespace, ordered by namespace and name. */
  list(resource: Resource, namespace?: string): KubeObject[] {
    return [...this.#shelf(resource).objects.values()]
      .filter((object) => namespace === undefined || object.metadata.namespace === namespace)
      .sort((a, b) => {
        const left = keyOf(a.metadata.namespace, a.metadata.name);
        const right = keyOf(b.metadata.namespace, b.metadata.name);
        return left < right ? -1 : 1;
      });
  }

  /** @throws KubeError AlreadyExists */
  create(resource: Resource, given: KubeObject, options: WriteOptions = {}): KubeObject {
    const { namespace, name } = given.metadata;
    const shelf = this.#shelf(resource);
    if (shelf.objects.has(keyOf(namespace, name))) {
      throw new KubeError('AlreadyExists', `${qualifiedName(resource)} "${name}" already exists`, {
        name,
        ...(resource.group ? { group: resource.group } : {}),
        kind: resource.plural,
      });
    }
    const { resourceVersion: _, ...metadata } = copyOf(given).metadata;
    const object: KubeObject = {
      ...copyOf(given),
      metadata: {
        ...metadata,
        name,
        uid: randomUUID(),
        creationTimestamp: metadata.creationTimestamp ?? this.#timestamp(),
        ...(resource.fields.includes('spec') ? { generation: 1 } : {}),
      },
    };
    if (options.dryRun) return object;
    return this.#commit(resource, 'ADDED', object, undefined);
  }

  /**
   * Replaces an object. What identifies it (uid, creation) stays; a `resourceVersion` in the new one must be the
   * stored one; a write that changes nothing makes no change.
   * @throws KubeError NotFound, Conflict
   */
  update(resource: Resource, given: KubeObject, options: WriteOptions = {}): KubeObject {
    const { namespace, name } = given.metadata;
    const before = this.get(resource, namespace, name);
    const expected = given.metadata.resourceVersion;
    if (expected && expected !== before.metadata.resourceVersion) {
      const why =
        'the object has been modified; please apply your changes to the latest version and try again';
      throw conflict(resource, name, why);
    }
    if (given.metadata.uid && given.metadata.uid !== before.metadata.uid) {
      throw conflict(resource, name, `Precondition failed: UID in precondition: ${given.metadata.uid}`);
    }
    const copy = copyOf(given);
    const generation = numberAt(before, 'metadata', 'generation');
    const object: KubeObject = {
      ...copy,
      metadata: {
        ...copy.metadata,
        uid: before.metadata.uid,
        creationTimestamp: before.metadata.creationTimestamp,
        resourceVersion: before.metadata.resourceVersion,
        ...(generation === 0
          ? {}
          : { generation: isDeepStrictEqual(copy.spec, before.spec) ? generation : generation + 1 }),
      },
    };
    if (isDeepStrictEqual(object, before)) return before;
    if (options.dryRun) return object;
    return this.#commit(resource, 'MODIFIED', object, before);
  }

  /** Removes an object and returns it as it last was. @throws KubeError NotFound */
  remove(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: WriteOptions = {},
  ): KubeObject {
    const before = this.get(resource, namespace, name);
    if (options.dryRun) return before;
    return this.#commit(resource, 'DELETED', before, before);
  }

  /** Changes after a version. @throws KubeError Expired when some of them are forgotten, Timeout for a future one. */
  since(resource: Resource, version: number): Change[] {
    const shelf = this.#shelf(resource);
    if (version < this.#start || version < shelf.forgotten) {
      throw new KubeError(
        'Expired',
        `too old resource version: ${version} (${Math.max(this.#start, shelf.forgotten)})`,
      );
    }
    this.assertNotFuture(version);
    return shelf.history.filter((change) => change.version > version);
  }

  assertNotFuture(version: number): void {
    if (version > this.#version) {
      const details = {
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
        retryAfterSeconds: 1,
      };
      throw new KubeError(
        'Timeout',
        `Too large resource version: ${version}, current: ${this.#version}`,
        details,
      );
    }
  }

  /** Calls the listener after each change of that kind until the returned function is called. */
  subscribe(resource: Resource, listener: (change: Change) => void): () => void {
    const { listeners } = this.#shelf(resource);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  #timestamp(): string {
    return this.#now()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
  }

  #shelf(resource: Resource): Shelf {
    let shelf = this.#shelves.get(resource);
    if (!shelf) {
      shelf = { objects: new Map(), history: [], forgotten: 0, listeners: new Set() };
      this.#shelves.set(resource, shelf);
    }
    return shelf;
  }

  #commit(
    resource: Resource,
    type: Change['type'],
    given: KubeObject,
    before: KubeObject | undefined,
  ): KubeObject {
    const shelf = this.#shelf(resource);
    this.#version += 1;
    const object = withVersion(given, this.#version);
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    if (type === 'DELETED') shelf.objects.delete(key);
    else shelf.objects.set(key, object);
    const change = { version: this.#version, type, object, before };
    shelf.history.push(change);
    if (shelf.history.length > this.#historyLimit) shelf.forgotten = shelf.history.shift()?.version ?? 0;
    for (const listener of [...shelf.listeners]) listener(change);
    return object;
  }
}
