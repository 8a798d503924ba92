/** What lies below one object. */
export type Subresource = 'status' | 'scale' | 'log' | 'exec' | 'attach' | 'portforward';

/** One kind that the demo API serves, and under which names. */
export type Resource = {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  namespaced: boolean;
  shortNames: string[];
  categories: string[];
  subresources: Subresource[];
  /** Top-level fields beside apiVersion, kind and metadata; any other is unknown. */
  fields: string[];
  /** Field selectors beside metadata.name and metadata.namespace. */
  selectable: string[];
};

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

function resource(
  groupVersion: string,
  plural: string,
  kind: string,
  rest: Partial<Omit<Resource, 'group' | 'version' | 'plural' | 'kind'>> = {},
): Resource {
  const [left = '', right] = groupVersion.split('/');
  return {
    group: right === undefined ? '' : left,
    version: right ?? left,
    plural,
    kind,
    singular: kind.toLowerCase(),
    namespaced: true,
    shortNames: [],
    categories: [],
    subresources: [],
    fields: ['spec', 'status'],
    selectable: [],
    ...rest,
  };
}

const involved = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
const workload = { categories: ['all'], subresources: ['status'] } satisfies Partial<Resource>;

/** Everything the demo API serves. */
export const resources: Resource[] = [
  resource('v1', 'configmaps', 'ConfigMap', {
    shortNames: ['cm'],
    fields: ['data', 'binaryData', 'immutable'],
  }),
  resource('v1', 'events', 'Event', {
    shortNames: ['ev'],
    fields: [
      ...[
        'involvedObject',
        'reason',
        'message',
        'source',
        'firstTimestamp',
        'lastTimestamp',
        'count',
        'type',
      ],
      ...['eventTime', 'series', 'action', 'related', 'reportingComponent', 'reportingInstance'],
    ],
    selectable: [
      ...involved.map((field) => `involvedObject.${field}`),
      'reason',
      'type',
      'reportingComponent',
    ],
  }),
  resource('v1', 'namespaces', 'Namespace', {
    namespaced: false,
    shortNames: ['ns'],
    subresources: ['status'],
    selectable: ['status.phase'],
  }),
  resource('v1', 'nodes', 'Node', {
    namespaced: false,
    shortNames: ['no'],
    subresources: ['status'],
    selectable: ['spec.unschedulable'],
  }),
  resource('v1', 'pods', 'Pod', {
    shortNames: ['po'],
    categories: ['all'],
    subresources: ['attach', 'exec', 'log', 'portforward', 'status'],
    selectable: [
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.serviceAccountName',
      'status.phase',
      'status.podIP',
    ],
  }),
  resource('v1', 'services', 'Service', { shortNames: ['svc'], ...workload }),
  resource('apps/v1', 'daemonsets', 'DaemonSet', { shortNames: ['ds'], ...workload }),
  resource('apps/v1', 'deployments', 'Deployment', {
    shortNames: ['deploy'],
    categories: ['all'],
    subresources: ['scale', 'status'],
  }),
  resource('apps/v1', 'replicasets', 'ReplicaSet', { shortNames: ['rs'], ...workload }),
  resource('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy', {
    shortNames: ['netpol'],
    fields: ['spec'],
  }),
  resource('projectcalico.org/v3', 'clusterinformations', 'ClusterInformation', {
    namespaced: false,
    fields: ['spec'],
    shortNames: ['clusterinfo'],
  }),
];

export function groupVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** Subresources that are connections. */
export const upgraded: readonly string[] = ['exec', 'attach', 'portforward'];

/** The verbs a resource's own path takes; subresources take get, patch and update, a log only get. */
export function verbsOf(subresource?: Subresource): string[] {
  if (subresource === undefined) return verbs;
  if (upgraded.includes(subresource)) return ['create', 'get'];
  return subresource === 'log' ? ['get'] : ['get', 'patch', 'update'];
}

/** The resource of that name, e.g. `('apps', 'v1', 'deployments')`, or undefined. */
export function findResource(group: string, version: string, plural: string): Resource | undefined {
  return resources.find(
    (entry) => entry.group === group && entry.version === version && entry.plural === plural,
  );
}

/** Like {@link findResource}, for names written in our own code. */
export function resourceOf(group: string, plural: string): Resource {
  const found = resources.find((entry) => entry.group === group && entry.plural === plural);
  if (!found) throw new Error(`the demo serves no ${plural} in group "${group}"`);
  return found;
}
