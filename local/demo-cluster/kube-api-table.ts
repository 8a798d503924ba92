import type { Json, JsonObject, KubeObject } from './kube-json.ts';
import { at, isJsonObject, listAt, numberAt, objectAt, stringsAt, textAt } from './kube-json.ts';
import type { Resource } from './kube-api-resource.ts';

type Column = {
  name: string;
  type: 'string' | 'integer' | 'date';
  /** 0: always shown; 1: with `-o wide`. */
  priority: 0 | 1;
  cell: (object: KubeObject, now: Date) => Json;
};

const column = (
  name: string,
  cell: Column['cell'],
  type: Column['type'] = 'string',
  priority: Column['priority'] = 0,
): Column => ({ name, type, priority, cell });
const wide = (name: string, cell: Column['cell']) => column(name, cell, 'string', 1);

/** A duration in seconds the way kubectl's tables show it: 42s, 3m5s, 17m, 5h12m, 30h, 3d4h, 200d, 2y30d. */
export function ageOf(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const years = Math.floor(days / 365);
  const pair = (big: number, unit: string, small: number, smallUnit: string) =>
    small === 0 ? `${big}${unit}` : `${big}${unit}${small}${smallUnit}`;
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${Math.floor(seconds)}s`;
  if (minutes < 10) return pair(minutes, 'm', Math.floor(seconds) % 60, 's');
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 2 * 365) return `${days}d`;
  return years < 8 ? pair(years, 'y', days % 365, 'd') : `${years}y`;
}

function since(timestamp: string, now: Date): string {
  return timestamp ? ageOf((now.getTime() - Date.parse(timestamp)) / 1000) : '<unknown>';
}

const or = (text: string, fallback: string) => (text === '' ? fallback : text);
const name = column('Name', (object) => object.metadata.name);
const age = column('Age', (object, now) => since(textAt(object, 'metadata', 'creationTimestamp'), now));
const selectorText = (labels: Record<string, string>) =>
  or(
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    '<none>',
  );
const matchLabels = (object: KubeObject) =>
  selectorText(stringsAt(object, 'spec', 'selector', 'matchLabels'));
const containers = (object: KubeObject) => listAt(object, 'spec', 'template', 'spec', 'containers');
const namesOf = (list: Json[], field: string) => list.map((entry) => textAt(entry, field)).join(',');
const workload = [
  wide('Containers', (object) => namesOf(containers(object), 'name')),
  wide('Images', (object) => namesOf(containers(object), 'image')),
  wide('Selector', matchLabels),
];

function podStatus(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp) return 'Terminating';
  for (const container of listAt(pod, 'status', 'containerStatuses')) {
    const reason =
      textAt(container, 'state', 'waiting', 'reason') || textAt(container, 'state', 'terminated', 'reason');
    if (reason) return reason;
  }
  return or(textAt(pod, 'status', 'reason') || textAt(pod, 'status', 'phase'), 'Unknown');
}

function restarts(pod: KubeObject, now: Date): string {
  const statuses = listAt(pod, 'status', 'containerStatuses');
  const count = statuses.reduce((sum: number, status) => sum + numberAt(status, 'restartCount'), 0);
  const last = statuses
    .map((status) => textAt(status, 'lastState', 'terminated', 'finishedAt'))
    .sort()
    .at(-1);
  return count > 0 && last ? `${count} (${since(last, now)} ago)` : String(count);
}

const conditionOf = (object: KubeObject, type: string) =>
  listAt(object, 'status', 'conditions').find((condition) => textAt(condition, 'type') === type);

function nodeRoles(node: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(stringsAt(node, 'metadata', 'labels')).filter((label) =>
    label.startsWith(prefix),
  );
  return or(
    roles
      .map((label) => label.slice(prefix.length))
      .sort()
      .join(','),
    '<none>',
  );
}

function nodeAddress(node: KubeObject, type: string): string {
  const entry = listAt(node, 'status', 'addresses').find((address) => textAt(address, 'type') === type);
  return or(textAt(entry, 'address'), '<none>');
}

const columns: Record<string, Column[]> = {
  pods: [
    name,
    column('Ready', (pod) => {
      const statuses = listAt(pod, 'status', 'containerStatuses');
      const ready = statuses.filter((status) => at(status, 'ready') === true).length;
      return `${ready}/${listAt(pod, 'spec', 'containers').length}`;
    }),
    column('Status', podStatus),
    column('Restarts', restarts),
    age,
    wide('IP', (pod) => or(textAt(pod, 'status', 'podIP'), '<none>')),
    wide('Node', (pod) => or(textAt(pod, 'spec', 'nodeName'), '<none>')),
    wide('Nominated Node', () => '<none>'),
    wide('Readiness Gates', () => '<none>'),
  ],
  namespaces: [name, column('Status', (object) => textAt(object, 'status', 'phase')), age],
  configmaps: [
    name,
    column(
      'Data',
      (object) =>
        Object.keys(objectAt(object, 'data')).length + Object.keys(objectAt(object, 'binaryData')).length,
      'integer',
    ),
    age,
  ],
  services: [
    name,
    column('Type', (service) => or(textAt(service, 'spec', 'type'), 'ClusterIP')),
    column('Cluster-IP', (service) => or(textAt(service, 'spec', 'clusterIP'), '<none>')),
    column('External-IP', () => '<none>'),
    column('Port(s)', (service) =>
      or(
        listAt(service, 'spec', 'ports')
          .map((port) => `${textAt(port, 'port')}/${or(textAt(port, 'protocol'), 'TCP')}`)
          .join(','),
        '<none>',
      ),
    ),
    age,
    wide('Selector', (service) => selectorText(stringsAt(service, 'spec', 'selector'))),
  ],
  nodes: [
    name,
    column('Status', (node) => {
      const ready = textAt(conditionOf(node, 'Ready'), 'status') === 'True' ? 'Ready' : 'NotReady';
      return at(node, 'spec', 'unschedulable') === true ? `${ready},SchedulingDisabled` : ready;
    }),
    column('Roles', nodeRoles),
    age,
    column('Version', (node) => textAt(node, 'status', 'nodeInfo', 'kubeletVersion')),
    wide('Internal-IP', (node) => nodeAddress(node, 'InternalIP')),
    wide('External-IP', (node) => nodeAddress(node, 'ExternalIP')),
    wide('OS-Image', (node) => textAt(node, 'status', 'nodeInfo', 'osImage')),
    wide('Kernel-Version', (node) => textAt(node, 'status', 'nodeInfo', 'kernelVersion')),
    wide('Container-Runtime', (node) => textAt(node, 'status', 'nodeInfo', 'containerRuntimeVersion')),
  ],
  events: [
    column('Last Seen', (event, now) =>
      since(textAt(event, 'lastTimestamp') || textAt(event, 'eventTime'), now),
    ),
    column('Type', (event) => textAt(event, 'type')),
    column('Reason', (event) => textAt(event, 'reason')),
    column(
      'Object',
      (event) =>
        `${textAt(event, 'involvedObject', 'kind').toLowerCase()}/${textAt(event, 'involvedObject', 'name')}`,
    ),
    wide('Subobject', (event) => textAt(event, 'involvedObject', 'fieldPath')),
    wide('Source', (event) => textAt(event, 'source', 'component')),
    column('Message', (event) => textAt(event, 'message')),
    wide('First Seen', (event, now) => since(textAt(event, 'firstTimestamp'), now)),
    wide('Count', (event) => textAt(event, 'count')),
    wide('Name', (event) => event.metadata.name),
  ],
  'apps/deployments': [
    name,
    column(
      'Ready',
      (object) => `${numberAt(object, 'status', 'readyReplicas')}/${numberAt(object, 'spec', 'replicas')}`,
    ),
    column('Up-to-date', (object) => numberAt(object, 'status', 'updatedReplicas'), 'integer'),
    column('Available', (object) => numberAt(object, 'status', 'availableReplicas'), 'integer'),
    age,
    ...workload,
  ],
  'apps/replicasets': [
    name,
    column('Desired', (object) => numberAt(object, 'spec', 'replicas'), 'integer'),
    column('Current', (object) => numberAt(object, 'status', 'replicas'), 'integer'),
    column('Ready', (object) => numberAt(object, 'status', 'readyReplicas'), 'integer'),
    age,
    ...workload,
  ],
  'apps/daemonsets': [
    name,
    column('Desired', (object) => numberAt(object, 'status', 'desiredNumberScheduled'), 'integer'),
    column('Current', (object) => numberAt(object, 'status', 'currentNumberScheduled'), 'integer'),
    column('Ready', (object) => numberAt(object, 'status', 'numberReady'), 'integer'),
    column('Up-to-date', (object) => numberAt(object, 'status', 'updatedNumberScheduled'), 'integer'),
    column('Available', (object) => numberAt(object, 'status', 'numberAvailable'), 'integer'),
    column('Node Selector', (object) =>
      selectorText(stringsAt(object, 'spec', 'template', 'spec', 'nodeSelector')),
    ),
    age,
    ...workload,
  ],
  'networking.k8s.io/networkpolicies': [
    name,
    column('Pod-Selector', (policy) => selectorText(stringsAt(policy, 'spec', 'podSelector', 'matchLabels'))),
    age,
  ],
};

const otherColumns = [
  name,
  column('Created At', (object) => textAt(object, 'metadata', 'creationTimestamp'), 'date'),
];

/** How much of each object a row carries: the `includeObject` query of the Table API. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** The object reduced to its metadata (`meta.k8s.io/v1 PartialObjectMetadata`). */
export function partialOf(object: JsonObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

export type TableOptions = {
  resource: Resource;
  include: IncludeObject;
  now: Date;
  /** The version that asked: v1 or v1beta1. */
  version: string;
  /** A watch sends the columns with its first event only. */
  headers: boolean;
  /** The list's own metadata. */
  metadata: JsonObject;
};

/** Objects as a `meta.k8s.io/v1 Table`, the form in which `kubectl get` asks for them. */
export function tableOf(objects: KubeObject[], options: TableOptions): JsonObject {
  const { resource, include, now } = options;
  const key = resource.group === '' ? resource.plural : `${resource.group}/${resource.plural}`;
  const shown = columns[key] ?? otherColumns;
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: options.headers
      ? shown.map((entry) => ({
          name: entry.name,
          type: entry.type,
          format: entry === name ? 'name' : '',
          description: '',
          priority: entry.priority,
        }))
      : [],
    rows: objects.map((object) => ({
      cells: shown.map((entry) => entry.cell(object, now)),
      ...(include === 'None' ? {} : { object: include === 'Object' ? object : partialOf(object) }),
    })),
  };
}

/** True for what a list answer is: an object of kind …List with items. */
export function isList(object: JsonObject): object is JsonObject & { items: KubeObject[] } {
  return (
    textAt(object, 'kind').endsWith('List') && Array.isArray(object.items) && object.items.every(isJsonObject)
  );
}
