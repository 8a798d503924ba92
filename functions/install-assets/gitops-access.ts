import type { PolicyRule } from './role-binding.ts';

/** What the Job of the GitOps manifest may do: `present`: connect a cluster that has Calico; `install`: install that, too. */
export type InstallerSize = 'present' | 'install';

/**
 * What makes an object or changes it by server-side apply. That is a PATCH of a name even where the object is absent, so
 * that `create` can be narrowed by resourceNames, which a POST would not pass.
 */
const apply = ['create', 'patch'];
const keep = ['get', ...apply];
const rbac = 'rbac.authorization.k8s.io';

/** In cattery-system: what the installer remembers, the key and the cluster's credential. */
export const ownRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['configmaps'], resourceNames: ['cattery-install'], verbs: keep },
  { apiGroups: [''], resources: ['secrets'], resourceNames: ['cattery-identity'], verbs: keep },
];

/** In tigera-operator: the three secrets of the connect manifest, and which operator is there. */
export const operatorRules: readonly PolicyRule[] = [
  // The key is added by kubectl patch, which reads first.
  {
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: ['tigera-managed-cluster-connection'],
    verbs: keep,
  },
  {
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: ['tigera-voltron-linseed-certs-public', 'calico-voltron-linseed-certs-public'],
    verbs: apply,
  },
  { apiGroups: ['apps'], resources: ['deployments'], resourceNames: ['tigera-operator'], verbs: ['get'] },
];

/** In the whole cluster: what preflight looks at, the connection, and what lacks of Calico for it. */
export const connectingRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['nodes'], verbs: ['list'] },
  { apiGroups: [''], resources: ['namespaces'], resourceNames: ['cattery-system'], verbs: ['get'] },
  {
    apiGroups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    resourceNames: ['installations.operator.tigera.io'],
    verbs: ['get'],
  },
  {
    apiGroups: ['operator.tigera.io'],
    resources: ['installations'],
    resourceNames: ['default'],
    verbs: ['get'],
  },
  { apiGroups: ['operator.tigera.io'], resources: ['tigerastatuses'], verbs: ['get'] },
  {
    apiGroups: ['operator.tigera.io'],
    resources: ['managementclusterconnections'],
    resourceNames: ['tigera-secure'],
    verbs: keep,
  },
  { apiGroups: ['operator.tigera.io'], resources: ['apiservers', 'goldmanes', 'whiskers'], verbs: ['list'] },
  {
    apiGroups: ['operator.tigera.io'],
    resources: ['apiservers', 'goldmanes', 'whiskers'],
    resourceNames: ['default'],
    verbs: apply,
  },
];

/**
 * What installing Calico takes beyond connecting. `escalate` and `bind` are limited to the operator's own two roles; but
 * who may write those may write anything into them, so that this is an administrator's right by another name.
 */
export const installingRules: readonly PolicyRule[] = [
  // Whether another network of pods is here, and which addresses pods get.
  { apiGroups: ['apps'], resources: ['daemonsets'], verbs: ['list'] },
  { apiGroups: [''], resources: ['configmaps'], resourceNames: ['kubeadm-config'], verbs: ['get'] },
  // Of a release's names this knows nothing: a new release is one file of the catalogue.
  {
    apiGroups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    verbs: ['get', 'list', 'watch', ...apply],
  },
  { apiGroups: [''], resources: ['namespaces'], resourceNames: ['tigera-operator'], verbs: apply },
  { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['tigera-operator'], verbs: apply },
  {
    apiGroups: ['apps'],
    resources: ['deployments'],
    resourceNames: ['tigera-operator'],
    verbs: ['list', 'watch', ...apply],
  },
  {
    apiGroups: [rbac],
    resources: ['clusterroles'],
    resourceNames: ['tigera-operator', 'tigera-operator-secrets'],
    verbs: [...apply, 'escalate', 'bind'],
  },
  { apiGroups: [rbac], resources: ['clusterrolebindings'], resourceNames: ['tigera-operator'], verbs: apply },
  {
    apiGroups: [rbac],
    resources: ['rolebindings'],
    resourceNames: ['tigera-operator-secrets'],
    verbs: apply,
  },
  {
    apiGroups: ['operator.tigera.io'],
    resources: ['installations', 'apiservers', 'goldmanes', 'whiskers'],
    resourceNames: ['default'],
    verbs: keep,
  },
];

/** Whether the pull secret is there, of which the installer tells only the name. */
export const pullSecretRules = (name: string): readonly PolicyRule[] => [
  { apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get'] },
];
