import { isDeepStrictEqual } from 'node:util';
import type { Json, JsonObject } from './kube-json.ts';
import { copyOf, isJsonObject } from './kube-json.ts';
import { KubeError } from './kube-api-status.ts';

/** RFC 7386. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const result: JsonObject = isJsonObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, field);
    else if (value !== undefined) result[field] = mergePatch(result[field], value);
  }
  return result;
}

function unprocessable(message: string): KubeError {
  return new KubeError(
    'Invalid',
    `the server rejected our request due to an error in our request: ${message}`,
  );
}

const pointer = (path: string) =>
  path
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

function indexIn(list: Json[], token: string, path: string, highest: number): number {
  const index = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : NaN;
  if (!(index <= highest)) throw unprocessable(`no list element at ${path}`);
  return index;
}

function read(document: Json, path: string): Json {
  let here: Json | undefined = document;
  for (const token of pointer(path)) {
    if (Array.isArray(here)) here = here[indexIn(here, token, path, here.length - 1)];
    else here = isJsonObject(here) && Object.hasOwn(here, token) ? here[token] : undefined;
    if (here === undefined) throw unprocessable(`nothing at ${path}`);
  }
  return here;
}

/** Runs `change` on the container that holds the last token of a path. */
function edit(
  document: Json,
  path: string,
  change: {
    inObject: (target: JsonObject, token: string) => void;
    inList: (target: Json[], token: string) => void;
  },
): void {
  const cut = path.lastIndexOf('/');
  const holder = read(document, path.slice(0, cut));
  const [token = ''] = pointer(path.slice(cut));
  if (Array.isArray(holder)) change.inList(holder, token);
  else if (isJsonObject(holder)) change.inObject(holder, token);
  else throw unprocessable(`nothing at ${path}`);
}

function add(document: Json, path: string, value: Json): Json {
  if (path === '') return value;
  edit(document, path, {
    inObject: (target, token) => (target[token] = value),
    inList: (target, token) =>
      target.splice(token === '-' ? target.length : indexIn(target, token, path, target.length), 0, value),
  });
  return document;
}

function remove(document: Json, path: string): void {
  read(document, path);
  edit(document, path, {
    inObject: (target, token) => Reflect.deleteProperty(target, token),
    inList: (target, token) => target.splice(indexIn(target, token, path, target.length - 1), 1),
  });
}

/** RFC 6902. @throws KubeError Invalid when an operation does not apply; the target stays as it was. */
export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations)) throw new KubeError('BadRequest', 'a JSON patch is a list of operations');
  let document = copyOf(target);
  for (const operation of operations) {
    if (!isJsonObject(operation)) throw new KubeError('BadRequest', 'a JSON patch is a list of operations');
    const { op, path, from, value } = operation;
    if (typeof path !== 'string') throw new KubeError('BadRequest', 'a JSON patch operation needs a path');
    const source = () => {
      if (typeof from !== 'string') throw new KubeError('BadRequest', `${JSON.stringify(op)} needs "from"`);
      return from;
    };
    const given = () => {
      if (value === undefined) throw new KubeError('BadRequest', `${JSON.stringify(op)} needs a value`);
      return copyOf(value);
    };
    if (op === 'add') document = add(document, path, given());
    else if (op === 'remove') remove(document, path);
    else if (op === 'replace') {
      read(document, path);
      if (path !== '') remove(document, path);
      document = add(document, path, given());
    } else if (op === 'copy') document = add(document, path, copyOf(read(document, source())));
    else if (op === 'move') {
      const moved = read(document, source());
      remove(document, source());
      document = add(document, path, moved);
    } else if (op === 'test') {
      if (!isDeepStrictEqual(read(document, path), given())) throw unprocessable(`test failed at ${path}`);
    } else throw new KubeError('BadRequest', `unknown JSON patch operation ${JSON.stringify(op)}`);
  }
  return document;
}

/** Which member identifies the entries of a list that Kubernetes merges entry by entry, by the list's name. */
const mergeKeys: Record<string, string[]> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  imagePullSecrets: ['name'],
  volumeMounts: ['mountPath'],
  ports: ['containerPort', 'port'],
  conditions: ['type'],
  addresses: ['type'],
  ownerReferences: ['uid'],
  taints: ['key'],
};

function entryKey(listName: string, entry: Json): string | undefined {
  if (!isJsonObject(entry)) return undefined;
  const key = mergeKeys[listName]?.find((candidate) => entry[candidate] !== undefined);
  return key === undefined ? undefined : `${key}=${JSON.stringify(entry[key])}`;
}

function mergeLists(listName: string, target: Json[], patch: Json[]): Json[] {
  if (!(listName in mergeKeys) || patch.some((entry) => entryKey(listName, entry) === undefined)) {
    if (listName === 'finalizers') return [...new Set([...target, ...patch])];
    return patch;
  }
  if (patch.some((entry) => isJsonObject(entry) && entry.$patch === 'replace')) {
    return patch.filter((entry) => !(isJsonObject(entry) && entry.$patch === 'replace'));
  }
  const result = [...target];
  for (const entry of patch) {
    const key = entryKey(listName, entry);
    const place = result.findIndex((candidate) => entryKey(listName, candidate) === key);
    if (isJsonObject(entry) && entry.$patch === 'delete') {
      if (place >= 0) result.splice(place, 1);
    } else if (place >= 0) result[place] = strategicPatch(result[place], entry);
    else result.push(strategicPatch(undefined, entry));
  }
  return result;
}

/**
 * Kubernetes' strategic merge patch, as far as labels, annotations, scalars and the lists named above go:
 * `$patch: delete|replace`, `$retainKeys` and `$deleteFromPrimitiveList` are understood, an order hint
 * (`$setElementOrder`) is passed over.
 */
export function strategicPatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  if (patch.$patch === 'replace') {
    const { $patch: _, ...rest } = patch;
    return rest;
  }
  const result: JsonObject = isJsonObject(target) ? { ...target } : {};
  const retained = patch.$retainKeys;
  if (Array.isArray(retained)) {
    for (const field of Object.keys(result))
      if (!retained.includes(field)) Reflect.deleteProperty(result, field);
  }
  for (const [field, value] of Object.entries(patch)) {
    const [directive, listName = ''] = field.split('/');
    if (directive === '$deleteFromPrimitiveList' && Array.isArray(value)) {
      const current = result[listName];
      if (Array.isArray(current)) result[listName] = current.filter((entry) => !value.includes(entry));
    } else if (field.startsWith('$') || value === undefined) continue;
    else if (value === null || (isJsonObject(value) && value.$patch === 'delete')) {
      Reflect.deleteProperty(result, field);
    } else if (Array.isArray(value)) {
      const current = result[field];
      result[field] = mergeLists(field, Array.isArray(current) ? current : [], value);
    } else result[field] = strategicPatch(result[field], value);
  }
  return result;
}
