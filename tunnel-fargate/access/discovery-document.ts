import * as z from 'zod';

/**
 * The documents of Kubernetes' discovery, as far as we read them (k8s.io/api/apidiscovery/v2 and
 * k8s.io/apimachinery meta/v1: APIVersions, APIGroupList, APIResourceList), and the way from the legacy ones to the
 * aggregated one.
 */
const text = z.string().max(512);
const groupVersionKind = z.object({ group: text.default(''), version: text.default(''), kind: text });
const verbs = z.array(text).max(100).nullish();
const names = z.array(text).max(100).nullish();

const subresourceDiscovery = z.object({
  subresource: text,
  responseKind: groupVersionKind.nullish(),
  acceptedTypes: z.array(groupVersionKind).max(100).nullish(),
  verbs,
});

const resourceDiscovery = z.object({
  resource: text,
  responseKind: groupVersionKind.nullish(),
  scope: text.default(''),
  singularResource: text.default(''),
  verbs,
  shortNames: names,
  categories: names,
  subresources: z.array(subresourceDiscovery).max(200).nullish(),
});
export type ResourceDiscovery = z.infer<typeof resourceDiscovery>;

const versionDiscovery = z.object({
  version: text,
  resources: z.array(resourceDiscovery).max(5_000).nullish(),
  /** `Stale`: the server behind this version did not answer; clients report it and keep what they knew. */
  freshness: text.nullish(),
});
export type VersionDiscovery = z.infer<typeof versionDiscovery>;

const groupDiscovery = z.object({
  metadata: z.object({ name: text.nullish() }).nullish(),
  versions: z.array(versionDiscovery).max(100),
});
export type GroupDiscovery = z.infer<typeof groupDiscovery>;

export const aggregatedList = z.object({
  kind: z.literal('APIGroupDiscoveryList'),
  items: z.array(groupDiscovery).max(2_000),
});

export const apiVersions = z.object({ kind: z.literal('APIVersions'), versions: z.array(text).max(100) });

const groupVersion = z.object({ groupVersion: text, version: text });
export const apiGroupList = z.object({
  kind: z.literal('APIGroupList'),
  groups: z
    .array(
      z.object({
        name: text,
        versions: z.array(groupVersion).max(100),
        preferredVersion: groupVersion.nullish(),
      }),
    )
    .max(2_000),
});

const apiResource = z.object({
  name: text,
  singularName: text.default(''),
  namespaced: z.boolean(),
  group: text.nullish(),
  version: text.nullish(),
  kind: text,
  verbs,
  shortNames: names,
  categories: names,
});
export const apiResourceList = z.object({
  kind: z.literal('APIResourceList'),
  groupVersion: text,
  resources: z.array(apiResource).max(5_000).nullish(),
});
export type ApiResourceList = z.infer<typeof apiResourceList>;

/** The versions of a group in the order in which the aggregated form says which is preferred: that one first. */
export function versionsByPreference(group: z.infer<typeof apiGroupList>['groups'][number]): string[] {
  const preferred = group.preferredVersion?.version;
  const versions = group.versions.map(({ version }) => version);
  return preferred !== undefined && versions.includes(preferred)
    ? [preferred, ...versions.filter((version) => version !== preferred)]
    : versions;
}

/** `pods` and `pods/log` of the legacy list become one resource with its subresources. */
export function resourcesOf(list: ApiResourceList): ResourceDiscovery[] {
  const slash = list.groupVersion.lastIndexOf('/');
  const [group, version] = [
    list.groupVersion.slice(0, Math.max(slash, 0)),
    list.groupVersion.slice(slash + 1),
  ];
  const found = new Map<
    string,
    ResourceDiscovery & { subresources?: z.infer<typeof subresourceDiscovery>[] }
  >();
  const sorted = [...(list.resources ?? [])].sort(
    (one, other) => Number(one.name.includes('/')) - Number(other.name.includes('/')),
  );
  for (const resource of sorted) {
    const [name = '', ...rest] = resource.name.split('/');
    const responseKind = {
      group: resource.group || group,
      version: resource.version || version,
      kind: resource.kind,
    };
    const scope = resource.namespaced ? 'Namespaced' : 'Cluster';
    if (rest.length === 0) {
      found.set(name, {
        resource: name,
        responseKind,
        scope,
        singularResource: resource.singularName,
        verbs: resource.verbs ?? [],
        ...(resource.shortNames ? { shortNames: resource.shortNames } : {}),
        ...(resource.categories ? { categories: resource.categories } : {}),
      });
      continue;
    }
    // A subresource may stand alone; its resource then has no verbs of its own.
    const parent = found.get(name) ?? { resource: name, scope, singularResource: '', verbs: [] };
    parent.subresources ??= [];
    parent.subresources.push({ subresource: rest.join('/'), responseKind, verbs: resource.verbs ?? [] });
    found.set(name, parent);
  }
  return [...found.values()];
}

/** `v2beta1` has the same members as `v2` (k8s.io/api/apidiscovery). */
export type AggregatedVersion = 'v2' | 'v2beta1';

export function aggregatedText(groups: readonly GroupDiscovery[], version: AggregatedVersion): string {
  return JSON.stringify({
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({ ...group, metadata: { ...group.metadata, creationTimestamp: null } })),
  });
}

export const aggregatedMediaType = (version: AggregatedVersion): string =>
  `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;

/** The aggregated form that an Accept header asks for before any other that we have; undefined: the legacy document. */
export function wantedAggregate(accept: string | undefined): AggregatedVersion | undefined {
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...rest] = range.split(';').map((part) => part.trim().toLowerCase());
    if (type !== 'application/json' && type !== 'application/*' && type !== '*/*') continue;
    const parameters = new Map(
      rest.map((part) => {
        const [name = '', value = ''] = part.split('=');
        return [name, value];
      }),
    );
    if (!parameters.has('as')) return undefined;
    const version = parameters.get('v');
    if (parameters.get('g') !== 'apidiscovery.k8s.io' || parameters.get('as') !== 'apigroupdiscoverylist')
      continue;
    if (version === 'v2' || version === 'v2beta1') return version;
  }
  return undefined;
}
