import type { JsonObject, KubeObject } from './kube-json.ts';
import { numberAt, textAt } from './kube-json.ts';
import type { ResourcePath } from './kube-api-request.ts';
import { groupVersionOf } from './kube-api-resource.ts';
import type { Selector } from './kube-api-selector.ts';
import { fieldSelector, labelSelector } from './kube-api-selector.ts';
import { KubeError } from './kube-api-status.ts';
import type { KubeStore } from './kube-api-store.ts';

/** What of a collection a request is about: its namespace, one name, and the query's selectors. */
export function selectionOf(path: ResourcePath, query: URLSearchParams): Selector {
  const labels = query.get('labelSelector') ?? '';
  const fields = query.get('fieldSelector') ?? '';
  const tests: Selector[] = [];
  if (labels) tests.push(labelSelector(labels));
  if (fields) tests.push(fieldSelector(fields, path.resource));
  if (path.namespace !== undefined) tests.push((object) => object.metadata.namespace === path.namespace);
  if (path.name !== undefined) tests.push((object) => object.metadata.name === path.name);
  return (object) => tests.every((test) => test(object));
}

/** `resourceVersion` of a query; undefined for '', NaN never. @throws KubeError BadRequest */
export function versionOf(query: URLSearchParams): number | undefined {
  const given = query.get('resourceVersion') ?? '';
  if (given === '') return undefined;
  if (!/^\d{1,15}$/.test(given))
    throw new KubeError('BadRequest', `Invalid value: ${JSON.stringify(given)}: resourceVersion`);
  return Number(given);
}

type Continue = { version: number; after: string };

function readContinue(token: string): Continue {
  try {
    const value = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as JsonObject;
    const version = numberAt(value, 'v');
    const after = textAt(value, 'after');
    if (version > 0 && after) return { version, after };
  } catch {
    // falls through: the token is none of ours
  }
  throw new KubeError('BadRequest', 'continue key is not valid');
}

const orderOf = (object: KubeObject) => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;

/**
 * A list of a collection with selectors, `limit`/`continue` and `resourceVersion`. A later page carries the first
 * page's version, so that a watch from there misses nothing.
 * @throws KubeError BadRequest, Expired, Timeout (a version from the future)
 */
export function listObjects(
  store: KubeStore,
  path: ResourcePath,
  query: URLSearchParams,
): JsonObject & { items: KubeObject[] } {
  const selected = selectionOf(path, query);
  const limit = /^\d{1,9}$/.test(query.get('limit') ?? '0') ? Number(query.get('limit') ?? '0') : NaN;
  if (Number.isNaN(limit)) throw new KubeError('BadRequest', 'limit must be a whole number, 0 or more');
  const token = query.get('continue') ?? '';
  const previous = token === '' ? undefined : readContinue(token);
  if (previous) store.since(path.resource, previous.version);
  const asked = versionOf(query);
  if (asked !== undefined && !previous) {
    store.assertNotFuture(asked);
    if (query.get('resourceVersionMatch') === 'Exact' && asked !== store.version) {
      throw new KubeError(
        'Expired',
        'The provided resource version is too old: the demo keeps the latest state only',
      );
    }
  }
  const matching = store
    .list(path.resource, path.namespace)
    .filter((object) => (previous === undefined || orderOf(object) > previous.after) && selected(object));
  const items = limit > 0 ? matching.slice(0, limit) : matching;
  const last = items.at(-1);
  const version = previous?.version ?? store.version;
  const cut = last !== undefined && items.length < matching.length;
  const unfiltered = !query.get('labelSelector') && !query.get('fieldSelector');
  return {
    kind: `${path.resource.kind}List`,
    apiVersion: groupVersionOf(path.resource),
    metadata: {
      resourceVersion: String(version),
      ...(cut
        ? {
            continue: Buffer.from(JSON.stringify({ v: version, after: orderOf(last) })).toString('base64url'),
          }
        : {}),
      ...(cut && unfiltered ? { remainingItemCount: matching.length - items.length } : {}),
    },
    items,
  };
}
