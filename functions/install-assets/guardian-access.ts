/** What the connect manifest adds for users' requests: nothing, or the RBAC that lets Guardian do this. */
export type GuardianAccess = 'read' | 'edit' | 'impersonate';

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};
type Subject = {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly apiGroup?: string;
};
export type RbacObject = {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1';
  readonly kind: 'ClusterRole' | 'ClusterRoleBinding';
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly rules?: readonly Rule[];
  readonly roleRef?: { readonly apiGroup: string; readonly kind: 'ClusterRole'; readonly name: string };
  readonly subjects?: readonly Subject[];
};

/** As the Tigera operator names it (guardian.md §3). */
const guardian: Subject = { kind: 'ServiceAccount', name: 'guardian', namespace: 'calico-system' };
const rbac = 'rbac.authorization.k8s.io';
const get = ['get', 'list', 'watch'];
const change = ['create', 'update', 'patch', 'delete', 'deletecollection'];

/** Policies are reached by what their tier's pseudo-resources allow, too (Calico's tiered policies). */
const policies = [
  'networkpolicies',
  'globalnetworkpolicies',
  'stagednetworkpolicies',
  'stagedglobalnetworkpolicies',
  'stagedkubernetesnetworkpolicies',
];
const tieredPolicies = [
  ...policies,
  'tier.networkpolicies',
  'tier.globalnetworkpolicies',
  'tier.stagednetworkpolicies',
  'tier.stagedglobalnetworkpolicies',
];
const networkSets = ['networksets', 'globalnetworksets'];

/** What nodes, volumes and Calico are to a reader; Kubernetes' own `view` leaves out what is in no namespace. */
const clusterWide: readonly Rule[] = [
  { apiGroups: [''], resources: ['nodes', 'namespaces', 'persistentvolumes'], verbs: get },
  {
    apiGroups: ['storage.k8s.io'],
    resources: ['storageclasses', 'volumeattachments', 'csidrivers', 'csinodes'],
    verbs: get,
  },
  { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: get },
  { apiGroups: ['scheduling.k8s.io'], resources: ['priorityclasses'], verbs: get },
  { apiGroups: ['networking.k8s.io'], resources: ['ingressclasses'], verbs: get },
  { apiGroups: ['metrics.k8s.io'], resources: ['nodes', 'pods'], verbs: get },
  {
    apiGroups: ['projectcalico.org'],
    resources: [
      ...['tiers', 'clusterinformations', 'felixconfigurations', 'bgpconfigurations', 'bgppeers', 'ippools'],
      ...['hostendpoints', 'profiles', ...tieredPolicies, ...networkSets],
    ],
    verbs: get,
  },
  {
    apiGroups: ['policy.networking.k8s.io'],
    resources: ['adminnetworkpolicies', 'baselineadminnetworkpolicies', 'clusternetworkpolicies'],
    verbs: get,
  },
  {
    apiGroups: ['operator.tigera.io'],
    resources: ['tigerastatuses', 'installations', 'managementclusterconnections'],
    verbs: get,
  },
];

const workloads: readonly (readonly [group: string, resources: readonly string[]])[] = [
  ['apps', ['deployments', 'replicasets', 'statefulsets', 'daemonsets']],
  ['batch', ['jobs', 'cronjobs']],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['policy', ['poddisruptionbudgets']],
  ['networking.k8s.io', ['networkpolicies', 'ingresses']],
];

/** Everything but secrets, and but who may do what. */
const reading: readonly Rule[] = [
  {
    apiGroups: [''],
    resources: [
      ...['pods', 'services', 'endpoints', 'configmaps', 'persistentvolumeclaims', 'replicationcontrollers'],
      ...['resourcequotas', 'limitranges', 'serviceaccounts'],
    ],
    verbs: get,
  },
  // kubectl logs
  { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
  // kubectl describe, kubectl events
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: get },
  ...workloads.map(([group, resources]) => ({ apiGroups: [group], resources, verbs: get })),
  {
    apiGroups: ['apps'],
    resources: ['deployments/scale', 'replicasets/scale', 'statefulsets/scale'],
    verbs: ['get'],
  },
  { apiGroups: ['apps'], resources: ['controllerrevisions'], verbs: get },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: get },
  ...clusterWide,
];

/** Not: RBAC, nodes, CRDs, webhooks, service accounts and their tokens. Who makes pods may use the accounts of their namespace all the same. */
const editing: readonly Rule[] = [
  {
    apiGroups: [''],
    resources: ['pods', 'services', 'configmaps', 'persistentvolumeclaims', 'replicationcontrollers'],
    verbs: change,
  },
  { apiGroups: [''], resources: ['namespaces'], verbs: ['create', 'update', 'patch', 'delete'] },
  { apiGroups: [''], resources: ['secrets'], verbs: [...get, 'create', 'update', 'patch', 'delete'] },
  // kubectl exec, cp, attach, port-forward: a WebSocket begins with GET, what came before it with POST.
  { apiGroups: [''], resources: ['pods/exec', 'pods/attach', 'pods/portforward'], verbs: ['get', 'create'] },
  // kubectl drain, kubectl debug
  { apiGroups: [''], resources: ['pods/eviction'], verbs: ['create'] },
  { apiGroups: [''], resources: ['pods/ephemeralcontainers'], verbs: ['update', 'patch'] },
  ...workloads.map(([group, resources]) => ({ apiGroups: [group], resources, verbs: change })),
  {
    apiGroups: ['apps'],
    resources: ['deployments/scale', 'replicasets/scale', 'statefulsets/scale'],
    verbs: ['update', 'patch'],
  },
  {
    apiGroups: ['projectcalico.org'],
    resources: ['tiers', ...tieredPolicies, ...networkSets],
    verbs: change,
  },
];

const groupOf = (role: string) => `cattery:role:${role}`;
const actingRoles = ['member', 'viewer', 'editor', 'admin', 'owner'];

/**
 * Kubernetes cannot narrow users to a prefix: Guardian may name any user, also those few of the system that are bound
 * by their own names. Of groups, which make administrators, it may name ours alone; service accounts, UIDs and extras
 * none at all. That Cattery sends its own prefix only is its own doing (tunnel-fargate/access/impersonation.ts).
 */
const impersonating: readonly Rule[] = [
  { apiGroups: [''], resources: ['users'], verbs: ['impersonate'] },
  {
    apiGroups: [''],
    resources: ['groups'],
    resourceNames: ['cattery:authenticated', ...actingRoles.map(groupOf)],
    verbs: ['impersonate'],
  },
];

const roleNames = {
  read: 'cattery:guardian-read',
  edit: 'cattery:guardian-edit',
  impersonate: 'cattery:guardian-impersonate',
} as const;

/** The objects of one kind of access, `edit` with those of `read`. */
export function guardianAccess(access: GuardianAccess): readonly RbacObject[] {
  const read = granted(roleNames.read, reading, [guardian]);
  if (access === 'read') return read;
  if (access === 'edit') return [...read, ...granted(roleNames.edit, editing, [guardian])];
  return [
    ...granted(roleNames.impersonate, impersonating, [guardian]),
    ...granted('cattery:cluster-view', clusterWide, groups('viewer', 'editor', 'admin', 'owner')),
    binding('cattery:viewers', 'view', groups('viewer')),
    binding('cattery:editors', 'edit', groups('editor')),
    binding('cattery:admins', 'admin', groups('admin', 'owner')),
  ];
}

/** What is to be known before the objects are applied, as comment lines. */
export function guardianAccessText(access: GuardianAccess): string {
  const others = Object.entries(roleNames).filter(
    ([name]) => name !== access && !(access === 'edit' && name === 'read'),
  );
  return comment([
    ...about[access],
    '',
    'What an earlier manifest granted beyond this stays until it is taken away:',
    '',
    `  kubectl delete --ignore-not-found clusterrole,clusterrolebinding ${others.map(([, name]) => name).join(' ')}`,
  ]);
}

const about: Readonly<Record<GuardianAccess, readonly string[]>> = {
  read: [
    "Lets Guardian read what users may read through the tunnel: workloads, logs, events, nodes, Calico's policies.",
    'No secrets, and nothing is changed.',
  ],
  edit: [
    "Lets Guardian read and change workloads, secrets and Calico's policies, and exec, attach and port-forward.",
    'Who of the users may do that, Cattery decides by their roles and access rules.',
  ],
  impersonate: [
    "Lets Guardian act as Cattery's users, whom this cluster's own RBAC then judges one by one:",
    'user cattery:user:<subject> or cattery:api-key:<keyId>, groups cattery:role:<role> and cattery:authenticated.',
    'The groups are bound below to view, edit and admin; bind them otherwise as you like.',
    '',
    'Kubernetes cannot limit whom one impersonates by a prefix: this lets Guardian name any user, also one of the',
    "system's own, though Cattery never does. Of groups it may name only Cattery's; those that make administrators",
    'are out of its reach.',
    '',
    'It takes effect once the setting is on: PATCH /v1/clusters/<clusterId> {"impersonation":true}',
  ],
};

const comment = (lines: readonly string[]): string =>
  lines.map((line) => `# ${line}`.trimEnd() + '\n').join('');

const metadata = (name: string) => ({ name, labels: { 'app.kubernetes.io/managed-by': 'cattery' } });

const granted = (name: string, rules: readonly Rule[], subjects: readonly Subject[]): RbacObject[] => [
  { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: metadata(name), rules },
  binding(name, name, subjects),
];

const binding = (name: string, role: string, subjects: readonly Subject[]): RbacObject => ({
  apiVersion: `${rbac}/v1`,
  kind: 'ClusterRoleBinding',
  metadata: metadata(name),
  roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
  subjects,
});

const groups = (...roles: readonly string[]): Subject[] =>
  roles.map((role) => ({ kind: 'Group', name: groupOf(role), apiGroup: rbac }));
