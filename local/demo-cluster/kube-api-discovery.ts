import type { JsonObject } from './kube-json.ts';
import { aggregatedVersion } from './kube-api-request.ts';
import type { Resource } from './kube-api-resource.ts';
import { groupVersionOf, resources, verbsOf } from './kube-api-resource.ts';

const scaleKind = { group: 'autoscaling', version: 'v1', kind: 'Scale' };

function groupNames(): string[] {
  return [...new Set(resources.map((resource) => resource.group))].filter((group) => group !== '');
}

function versionsOf(group: string): string[] {
  return [
    ...new Set(resources.filter((resource) => resource.group === group).map((resource) => resource.version)),
  ];
}

function of(group: string, version: string): Resource[] {
  return resources.filter((resource) => resource.group === group && resource.version === version);
}

/** `APIVersions`, the legacy answer of `/api`. */
function legacyCore(serverAddress: string): JsonObject {
  return {
    kind: 'APIVersions',
    versions: versionsOf(''),
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

function legacyGroup(group: string): JsonObject {
  const versions = versionsOf(group).map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions, preferredVersion: versions[0] };
}

/** `APIGroupList`, the legacy answer of `/apis` (and the only one of `/apis/`). */
function legacyGroups(): JsonObject {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupNames().map(legacyGroup) };
}

/** `APIGroup`, the answer of `/apis/{group}`; undefined for a group that is not served. */
function groupDocument(group: string): JsonObject | undefined {
  return groupNames().includes(group)
    ? { kind: 'APIGroup', apiVersion: 'v1', ...legacyGroup(group) }
    : undefined;
}

/** `APIResourceList`, the answer of `/api/v1` and `/apis/{group}/{version}`; undefined where none is served. */
function resourceList(group: string, version: string): JsonObject | undefined {
  const served = of(group, version);
  const [first] = served;
  if (!first) return undefined;
  const entries: JsonObject[] = [];
  for (const resource of served) {
    entries.push({
      name: resource.plural,
      singularName: resource.singular,
      namespaced: resource.namespaced,
      kind: resource.kind,
      verbs: verbsOf(),
      ...(resource.shortNames.length ? { shortNames: resource.shortNames } : {}),
      ...(resource.categories.length ? { categories: resource.categories } : {}),
    });
    for (const subresource of resource.subresources) {
      entries.push({
        name: `${resource.plural}/${subresource}`,
        singularName: '',
        namespaced: resource.namespaced,
        ...(subresource === 'scale' ? scaleKind : { kind: resource.kind }),
        verbs: verbsOf(subresource),
      });
    }
  }
  return {
    kind: 'APIResourceList',
    ...(group === '' ? {} : { apiVersion: 'v1' }),
    groupVersion: groupVersionOf(first),
    resources: entries,
  };
}

function aggregatedResource(resource: Resource): JsonObject {
  const responseKind = { group: resource.group, version: resource.version, kind: resource.kind };
  return {
    resource: resource.plural,
    responseKind,
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: verbsOf(),
    ...(resource.shortNames.length ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length ? { categories: resource.categories } : {}),
    ...(resource.subresources.length
      ? {
          subresources: resource.subresources.map((subresource) => ({
            subresource,
            responseKind: subresource === 'scale' ? scaleKind : responseKind,
            verbs: verbsOf(subresource),
          })),
        }
      : {}),
  };
}

/**
 * `APIGroupDiscoveryList` (apidiscovery.k8s.io) in the version asked for: of `/api` the core group alone, of
 * `/apis` all the others.
 */
function aggregated(root: 'api' | 'apis', version: 'v2' | 'v2beta1'): JsonObject {
  const groups = root === 'api' ? [''] : groupNames();
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: group === '' ? {} : { name: group },
      versions: versionsOf(group).map((served) => ({
        version: served,
        freshness: 'Current',
        resources: of(group, served).map(aggregatedResource),
      })),
    })),
  };
}

/** The discovery document at a path, in the form that the Accept header prefers; undefined where there is none. */
export function discoveryDocument(
  path: string,
  accept: string | undefined,
  serverAddress: string,
): { body: JsonObject; type?: string } | undefined {
  const version = aggregatedVersion(accept);
  // Seen with Kubernetes 1.33: with a slash at its end only the first of both has the aggregated form.
  if ((path === '/api' || path === '/api/' || path === '/apis') && version) {
    const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    return { body: aggregated(path === '/apis' ? 'apis' : 'api', version), type };
  }
  if (path === '/api' || path === '/api/') return { body: legacyCore(serverAddress) };
  if (path === '/apis' || path === '/apis/') return { body: legacyGroups() };
  const [root, group = '', served, ...more] = path.split('/').slice(1);
  const rest = root === 'api' ? [group, served, ...more] : [served, ...more];
  if (rest.filter((segment) => segment).length > 1 || (root !== 'api' && root !== 'apis')) return undefined;
  const body =
    root === 'api' ? resourceList('', group) : served ? resourceList(group, served) : groupDocument(group);
  return body ? { body } : undefined;
}
