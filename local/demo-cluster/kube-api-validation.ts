import type { Json, JsonObject, KubeObject } from './kube-json.ts';
import { at, isJsonObject, listAt, objectAt, stringsAt, textAt } from './kube-json.ts';
import type { Resource } from './kube-api-resource.ts';
import { groupVersionOf } from './kube-api-resource.ts';
import { invalid, KubeError } from './kube-api-status.ts';

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

/**
 * A body as an object of the kind and namespace that its path names; `fieldValidation=Strict` refuses unknown
 * top-level fields (deeper ones the stand-in does not know).
 * @throws KubeError BadRequest
 */
export function asKubeObject(
  body: Json,
  resource: Resource,
  place: { namespace: string | undefined; name?: string | undefined; strict: boolean },
): KubeObject {
  if (!isJsonObject(body)) throw new KubeError('BadRequest', `the body is no ${resource.kind}`);
  const apiVersion = textAt(body, 'apiVersion') || groupVersionOf(resource);
  const kind = textAt(body, 'kind') || resource.kind;
  if (apiVersion !== groupVersionOf(resource) || kind !== resource.kind) {
    const expected = `${groupVersionOf(resource)}, Kind=${resource.kind}`;
    throw new KubeError(
      'BadRequest',
      `${kind} in version "${apiVersion}" cannot be handled as a ${resource.kind}: expected ${expected}`,
    );
  }
  const metadata = objectAt(body, 'metadata');
  const namespace = textAt(metadata, 'namespace');
  if (namespace && namespace !== (place.namespace ?? '')) {
    throw new KubeError(
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  const name = textAt(metadata, 'name') || (place.name ?? '');
  if (place.name !== undefined && name !== place.name) {
    throw new KubeError(
      'BadRequest',
      `the name of the object (${name}) does not match the name on the URL (${place.name})`,
    );
  }
  const unknown = Object.keys(body).filter(
    (field) => !['apiVersion', 'kind', 'metadata', ...resource.fields].includes(field),
  );
  if (place.strict && unknown.length > 0) {
    const list = unknown.map((field) => `unknown field "${field}"`).join(', ');
    throw new KubeError(
      'BadRequest',
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${list}`,
    );
  }
  const known: JsonObject = { ...body };
  for (const field of unknown) Reflect.deleteProperty(known, field);
  return {
    ...known,
    apiVersion,
    kind,
    metadata: { ...metadata, name, ...(place.namespace === undefined ? {} : { namespace: place.namespace }) },
  };
}

function assertContainers(resource: Resource, name: string, spec: Json | undefined, path: string): void {
  const containers = listAt(spec, 'containers');
  if (containers.length === 0) throw invalid(resource, name, `${path}.containers`, 'Required value');
  containers.forEach((container, index) => {
    for (const field of ['name', 'image']) {
      if (!textAt(container, field))
        throw invalid(resource, name, `${path}.containers[${index}].${field}`, 'Required value');
    }
  });
}

/** The few rules of field validation that a user of the demo is likely to meet. @throws KubeError Invalid (422) */
export function assertValid(resource: Resource, object: KubeObject): void {
  const { name } = object.metadata;
  if (name.length > 253 || !subdomain.test(name)) {
    throw invalid(
      resource,
      name,
      'metadata.name',
      `Invalid value: ${JSON.stringify(name)}: a lowercase RFC 1123 subdomain is needed`,
    );
  }
  for (const field of ['labels', 'annotations']) {
    const given = at(object, 'metadata', field);
    if (given === undefined) continue;
    const strings = stringsAt(given);
    if (!isJsonObject(given) || Object.keys(strings).length !== Object.keys(given).length) {
      throw new KubeError('BadRequest', `metadata.${field} of ${resource.kind} must be a map of strings`);
    }
    for (const [key, value] of Object.entries(strings)) {
      if (!labelKey.test(key))
        throw invalid(resource, name, `metadata.${field}`, `Invalid value: ${JSON.stringify(key)}`);
      if (field === 'labels' && (value.length > 63 || !labelValue.test(value))) {
        throw invalid(resource, name, 'metadata.labels', `Invalid value: ${JSON.stringify(value)}`);
      }
    }
  }
  if (resource.kind === 'ConfigMap') {
    const data = objectAt(object, 'data');
    const wrong = Object.keys(data).find((key) => typeof data[key] !== 'string');
    if (wrong !== undefined) throw new KubeError('BadRequest', `ConfigMap data "${wrong}" must be a string`);
  }
  if (resource.kind === 'Pod') assertContainers(resource, name, object.spec, 'spec');
  if (resource.group === 'apps') {
    const replicas = at(object, 'spec', 'replicas');
    if (replicas !== undefined && !(Number.isInteger(replicas) && Number(replicas) >= 0)) {
      throw invalid(
        resource,
        name,
        'spec.replicas',
        `Invalid value: ${JSON.stringify(replicas)}: must be a whole number, 0 or more`,
      );
    }
    const wanted = Object.entries(stringsAt(object, 'spec', 'selector', 'matchLabels'));
    if (wanted.length === 0) throw invalid(resource, name, 'spec.selector', 'Required value');
    const labels = stringsAt(object, 'spec', 'template', 'metadata', 'labels');
    if (wanted.some(([key, value]) => labels[key] !== value)) {
      throw invalid(
        resource,
        name,
        'spec.template.metadata.labels',
        '`selector` does not match template `labels`',
      );
    }
    assertContainers(resource, name, at(object, 'spec', 'template', 'spec'), 'spec.template.spec');
  }
}

/** What the API server fills in where a writer left it out, as far as the demo's tables and rules need it. */
export function withDefaults(resource: Resource, object: KubeObject): KubeObject {
  const spec = objectAt(object, 'spec');
  if (resource.kind === 'Deployment' || resource.kind === 'ReplicaSet') {
    return { ...object, spec: { ...spec, replicas: spec.replicas ?? 1 } };
  }
  if (resource.kind === 'Namespace')
    return { ...object, spec: { finalizers: ['kubernetes'], ...spec }, status: { phase: 'Active' } };
  if (resource.kind === 'Pod') {
    return {
      ...object,
      spec: { restartPolicy: 'Always', ...spec },
      status: object.status ?? { phase: 'Pending' },
    };
  }
  if (resource.kind === 'Service') return { ...object, spec: { type: 'ClusterIP', ...spec } };
  return object;
}
