export type PolicyRule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

/** A ServiceAccount that we make, whose roles bear its name and labels. */
export type OwnAccount = {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
};

const rbac = 'rbac.authorization.k8s.io';

/** The role that lets an account do this, in one namespace or everywhere, and its binding. */
export function granted(
  { name, namespace, labels }: OwnAccount,
  kind: 'Role' | 'ClusterRole',
  rules: readonly PolicyRule[],
  within?: string,
): object[] {
  const metadata = { name, ...(within === undefined ? {} : { namespace: within }), labels };
  return [
    { apiVersion: `${rbac}/v1`, kind, metadata, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: rbac, kind, name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  ];
}
