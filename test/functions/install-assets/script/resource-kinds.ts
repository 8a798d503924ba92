export type ResourceKind = {
  readonly kind: string;
  readonly plural: string;
  readonly group: string;
  readonly version: string;
  readonly namespaced: boolean;
  /** Known once its CRD is there. */
  readonly custom: boolean;
};

const rows: readonly (readonly [group: string, version: string, kinds: string])[] = [
  ['', 'v1', 'Namespace Node ConfigMap* Secret* ServiceAccount* Pod* Service* Event*'],
  ['apps', 'v1', 'Deployment* DaemonSet* ReplicaSet* StatefulSet*'],
  ['batch', 'v1', 'Job*'],
  ['coordination.k8s.io', 'v1', 'Lease*'],
  ['rbac.authorization.k8s.io', 'v1', 'ClusterRole ClusterRoleBinding Role* RoleBinding*'],
  ['apiextensions.k8s.io', 'v1', 'CustomResourceDefinition'],
  ['apiregistration.k8s.io', 'v1', 'APIService'],
  [
    'operator.tigera.io',
    'v1',
    'Installation! APIServer! Goldmane! Whisker! TigeraStatus! ManagementClusterConnection! ImageSet!',
  ],
  ['crd.projectcalico.org', 'v1', 'ClusterInformation! FelixConfiguration! IPPool! Tier!'],
  ['projectcalico.org', 'v3', 'ClusterInformation! IPPool! Tier!'],
];

const plural = (kind: string): string => {
  const lower = kind.toLowerCase();
  if (lower === 'tigerastatus') return 'tigerastatuses';
  return lower.endsWith('s') ? `${lower}es` : `${lower}s`;
};

export const kinds: readonly ResourceKind[] = rows.flatMap(([group, version, names]) =>
  names.split(' ').map((marked) => {
    const kind = marked.replace(/[*!]$/, '');
    return {
      ...{ kind, plural: plural(kind), group, version },
      namespaced: marked.endsWith('*'),
      custom: marked.endsWith('!'),
    };
  }),
);

const short: Readonly<Record<string, string>> = {
  ns: 'namespaces',
  no: 'nodes',
  cm: 'configmaps',
  sa: 'serviceaccounts',
  po: 'pods',
  svc: 'services',
  deploy: 'deployments',
  ds: 'daemonsets',
  crd: 'customresourcedefinitions',
  crds: 'customresourcedefinitions',
};

/** `plural.group`, as kubectl and CRDs name it. */
export const fullName = ({ plural: name, group }: ResourceKind): string =>
  group === '' ? name : `${name}.${group}`;

/** What `kubectl get WORD` means: singular, plural, short, with or without group (and version). */
export function kindNamed(word: string): ResourceKind | undefined {
  const [first = '', ...rest] = word.toLowerCase().split('.');
  const name = short[first] ?? first;
  const group = rest.join('.');
  return kinds.find(
    (each) =>
      [each.plural, each.kind.toLowerCase()].includes(name) &&
      (group === '' || group === each.group || group === `${each.version}.${each.group}`),
  );
}

export const kindOf = (apiVersion: string, kind: string): ResourceKind | undefined =>
  kinds.find(
    (each) => each.kind === kind && apiVersion === (each.group === '' ? '' : `${each.group}/`) + each.version,
  );
