import { randomBytes } from 'node:crypto';
import type { Json, JsonObject, KubeObject } from './kube-json.ts';
import { isJsonObject, listAt, numberAt, objectAt, stringsAt, textAt } from './kube-json.ts';
import { jsonPatch, mergePatch, strategicPatch } from './kube-api-patch.ts';
import type { ResourcePath } from './kube-api-request.ts';
import { isDryRun, parseBody } from './kube-api-request.ts';
import type { Resource } from './kube-api-resource.ts';
import { resourceOf, resources } from './kube-api-resource.ts';
import { selectionOf } from './kube-api-list.ts';
import { conflict, KubeError, noSuchPath, notFound } from './kube-api-status.ts';
import type { KubeStore } from './kube-api-store.ts';
import { assertValid, asKubeObject, withDefaults } from './kube-api-validation.ts';

/** What a verb answers: the object (or list, or Status) and the HTTP status. */
export type Answer = { code: 200 | 201; object: JsonObject };

/** A request whose path names one object. */
export type NamedPath = ResourcePath & { name: string };

const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** A name as `generateName` makes it: five letters that spell nothing. */
export function generatedName(prefix: string): string {
  return prefix + [...randomBytes(5)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

const isStrict = (query: URLSearchParams) => query.get('fieldValidation') === 'Strict';
const protectedNamespaces = ['default', 'kube-system', 'kube-public'];

/** POST on a collection. @throws KubeError */
export function createObject(
  store: KubeStore,
  path: ResourcePath,
  query: URLSearchParams,
  body: Json,
): Answer {
  const { resource, namespace } = path;
  if (resource.namespaced && namespace === undefined)
    throw new KubeError(
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    );
  if (namespace !== undefined && !store.has(resourceOf('', 'namespaces'), undefined, namespace)) {
    throw notFound(resourceOf('', 'namespaces'), namespace);
  }
  const given = asKubeObject(body, resource, { namespace, strict: isStrict(query) });
  const prefix = textAt(given, 'metadata', 'generateName');
  const name = given.metadata.name || (prefix ? generatedName(prefix) : '');
  if (!name) throw new KubeError('Invalid', 'name or generateName is required');
  const { status: _, ...rest } = given;
  const own = resource.subresources.includes('status') ? rest : given;
  const { uid: _uid, creationTimestamp: _created, ...metadata } = given.metadata;
  const object = withDefaults(resource, {
    ...own,
    apiVersion: given.apiVersion,
    kind: given.kind,
    metadata: { ...metadata, name },
  });
  assertValid(resource, object);
  return { code: 201, object: store.create(resource, object, { dryRun: isDryRun(query) }) };
}

/** Writes `next` over `before`, each through the path it came by: status through `/status`, the rest through the object. */
function write(
  store: KubeStore,
  path: NamedPath,
  query: URLSearchParams,
  before: KubeObject,
  next: KubeObject,
): Answer {
  const { resource, subresource } = path;
  const withStatus = resource.subresources.includes('status') ? { ...next, status: before.status } : next;
  const object =
    subresource === 'status'
      ? { ...before, metadata: next.metadata, status: next.status }
      : withDefaults(resource, withStatus);
  assertValid(resource, object);
  return { code: 200, object: store.update(resource, object, { dryRun: isDryRun(query) }) };
}

/** A deployment as `autoscaling/v1 Scale`. */
export function scaleOf(object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: numberAt(object, 'spec', 'replicas') },
    status: {
      replicas: numberAt(object, 'status', 'replicas'),
      selector: Object.entries(stringsAt(object, 'spec', 'selector', 'matchLabels'))
        .map((pair) => pair.join('='))
        .join(','),
    },
  };
}

function writeScale(
  store: KubeStore,
  path: NamedPath,
  query: URLSearchParams,
  before: KubeObject,
  next: Json,
): Answer {
  const replicas = isJsonObject(next) ? objectAt(next, 'spec').replicas : undefined;
  const version = textAt(next, 'metadata', 'resourceVersion');
  const scaled: KubeObject = {
    ...before,
    metadata: { ...before.metadata, ...(version ? { resourceVersion: version } : {}) },
    spec: { ...objectAt(before, 'spec'), replicas: replicas ?? 0 },
  };
  assertValid(path.resource, scaled);
  const stored = store.update(path.resource, scaled, { dryRun: isDryRun(query) });
  return { code: 200, object: scaleOf(stored) };
}

/** GET of one object or of its scale. @throws KubeError */
export function getObject(store: KubeStore, path: NamedPath): Answer {
  const object = store.get(path.resource, path.namespace, path.name);
  return { code: 200, object: path.subresource === 'scale' ? scaleOf(object) : object };
}

/** PUT. @throws KubeError NotFound, Conflict, Invalid */
export function updateObject(store: KubeStore, path: NamedPath, query: URLSearchParams, body: Json): Answer {
  const before = store.get(path.resource, path.namespace, path.name);
  if (path.subresource === 'scale') return writeScale(store, path, query, before, body);
  const next = asKubeObject(body, path.resource, { ...path, strict: isStrict(query) });
  return write(store, path, query, before, next);
}

/** The types of PATCH bodies. */
export const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

/**
 * PATCH. Server-side apply merges with the strategic rules and creates what is not there; the stand-in keeps no
 * field managers, so it never finds a conflict of owners and never removes a field that a manager leaves out.
 * @throws KubeError NotFound, Conflict, Invalid, UnsupportedMediaType, BadRequest
 */
export function patchObject(
  store: KubeStore,
  path: NamedPath,
  query: URLSearchParams,
  type: string,
  text: string,
): Answer {
  if (!patchTypes.includes(type)) {
    throw new KubeError(
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${patchTypes.join(', ')}`,
    );
  }
  const apply = type === 'application/apply-patch+yaml';
  const patch = parseBody(text, apply ? 'yaml' : 'json');
  const { resource, namespace, name, subresource } = path;
  if (apply) {
    if (!query.get('fieldManager'))
      throw new KubeError('BadRequest', 'fieldManager is required for apply patch');
    if (!isJsonObject(patch) || !patch.apiVersion || !patch.kind)
      throw new KubeError('BadRequest', 'apiVersion and kind are required for apply patch');
    if (subresource === undefined) {
      const intent = asKubeObject(patch, resource, { namespace, name, strict: isStrict(query) });
      if (!store.has(resource, namespace, name)) return createObject(store, path, query, intent);
    }
  }
  const before = store.get(resource, namespace, name);
  const target: KubeObject = subresource === 'scale' ? scaleOf(before) : before;
  let next: Json;
  if (type === 'application/json-patch+json') next = jsonPatch(target, patch);
  else if (!isJsonObject(patch)) throw new KubeError('BadRequest', 'the patch must be an object');
  else if (type === 'application/merge-patch+json') next = mergePatch(target, patch);
  else next = strategicPatch(target, patch);
  if (subresource === 'scale') return writeScale(store, path, query, before, next);
  return write(
    store,
    path,
    query,
    before,
    asKubeObject(next, resource, { namespace, name, strict: isStrict(query) }),
  );
}

/** Removes what an object owns (ownerReferences) and, for a namespace, what is in it. */
function removeDependents(store: KubeStore, resource: Resource, object: KubeObject): void {
  for (const other of resources.filter((entry) => entry.namespaced)) {
    for (const candidate of store.list(other)) {
      const inside = resource.kind === 'Namespace' && candidate.metadata.namespace === object.metadata.name;
      const owned = listAt(candidate, 'metadata', 'ownerReferences').some(
        (owner) => textAt(owner, 'uid') === object.metadata.uid,
      );
      const { namespace, name } = candidate.metadata;
      if ((inside || owned) && store.has(other, namespace, name))
        removeWithDependents(store, other, candidate);
    }
  }
}

function removeWithDependents(store: KubeStore, resource: Resource, object: KubeObject): KubeObject {
  const removed = store.remove(resource, object.metadata.namespace, object.metadata.name);
  removeDependents(store, resource, removed);
  return removed;
}

/** DELETE of one object, at once and with what it owns (unless `propagationPolicy=Orphan`). @throws KubeError */
export function deleteObject(store: KubeStore, path: NamedPath, query: URLSearchParams, body: Json): Answer {
  const { resource, namespace, name } = path;
  const options = isJsonObject(body) ? body : {};
  const object = store.get(resource, namespace, name);
  if (resource.kind === 'Namespace' && protectedNamespaces.includes(name)) {
    throw new KubeError('Forbidden', `namespaces "${name}" is forbidden: this namespace may not be deleted`, {
      name,
      kind: 'namespaces',
    });
  }
  for (const field of ['uid', 'resourceVersion']) {
    const wanted = textAt(options, 'preconditions', field);
    if (wanted && wanted !== textAt(object, 'metadata', field)) {
      throw conflict(resource, name, `Precondition failed: ${field} in precondition: ${wanted}`);
    }
  }
  const policy = query.get('propagationPolicy') ?? textAt(options, 'propagationPolicy');
  if (isDryRun(query, options)) store.remove(resource, namespace, name, { dryRun: true });
  else if (policy === 'Orphan') store.remove(resource, namespace, name);
  else removeWithDependents(store, resource, object);
  if (resource.kind === 'Pod') return { code: 200, object };
  return {
    code: 200,
    object: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: {
        name,
        ...(resource.group ? { group: resource.group } : {}),
        kind: resource.plural,
        uid: object.metadata.uid,
      },
    },
  };
}

/** DELETE of a collection: everything its selectors choose. @throws KubeError */
export function deleteCollection(
  store: KubeStore,
  path: ResourcePath,
  query: URLSearchParams,
  body: Json,
): Answer {
  const { resource, namespace } = path;
  if ((resource.namespaced && namespace === undefined) || resource.kind === 'Namespace') throw noSuchPath();
  const selected = selectionOf(path, query);
  const chosen = store.list(resource, namespace).filter(selected);
  for (const object of chosen) {
    const { name } = object.metadata;
    if (store.has(resource, namespace, name)) deleteObject(store, { ...path, name }, query, body);
  }
  return {
    code: 200,
    object: {
      kind: `${resource.kind}List`,
      apiVersion: resource.group ? `${resource.group}/${resource.version}` : resource.version,
      metadata: {},
      items: chosen,
    },
  };
}
