/** What a request asks of a cluster. `verb` may be any text: reviews ask about verbs that no request has. */
export type AskedAccess = {
  readonly verb: string;
  /** False: discovery and other documents; then only `verb` and `path` mean something. */
  readonly isResource: boolean;
  readonly path: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  /** Empty: the request names none. */
  readonly namespace: string;
  /** Empty: the request is about no single object. */
  readonly name: string;
};

/** What one rule allows; whom, and in which cluster, has been chosen before. */
export type Allowance = {
  readonly namespaces: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[] | undefined;
  readonly verbs: readonly string[];
  /** Paths that are no resource; a `*` at the end stands for any rest. Built-in roles have them, rules of tenants do not. */
  readonly nonResourceURLs?: readonly string[];
};

export type Decision<Rule extends Allowance> =
  { readonly allowed: true; readonly rule: Rule } | { readonly allowed: false };

/**
 * Whether one of the rules allows a request: the one place that judges requests and answers reviews of oneself.
 *
 * As Kubernetes' RBAC (k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac): rules only allow; `*` in a rule stands for
 * everything, and `*` in a question is matched by it alone; `*` among resources includes subresources, `pods` does not
 * include `pods/exec`; a rule with names matches only requests that name one of them; case counts.
 */
export function decide<Rule extends Allowance>(rules: readonly Rule[], asked: AskedAccess): Decision<Rule> {
  const rule = rules.find((candidate) => allows(candidate, asked));
  return rule ? { allowed: true, rule } : { allowed: false };
}

function allows(rule: Allowance, asked: AskedAccess): boolean {
  if (!has(rule.verbs, asked.verb)) return false;
  if (!asked.isResource) return (rule.nonResourceURLs ?? []).some((pattern) => fits(pattern, asked.path));
  return (
    has(rule.namespaces, asked.namespace) &&
    has(rule.apiGroups, asked.group) &&
    hasResource(rule.resources, asked) &&
    (rule.resourceNames === undefined || (asked.name !== '' && rule.resourceNames.includes(asked.name)))
  );
}

const has = (values: readonly string[], wanted: string): boolean =>
  values.includes('*') || values.includes(wanted);

const hasResource = (values: readonly string[], { resource, subresource }: AskedAccess): boolean =>
  values.includes('*') ||
  (subresource === ''
    ? values.includes(resource)
    : values.includes(`${resource}/${subresource}`) || values.includes(`*/${subresource}`));

const fits = (pattern: string, path: string): boolean =>
  pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : pattern === path;

/**
 * Where the rules would allow the same request: for the refusal's text. Only namespaces and names are told, and only of
 * the caller's own rules.
 */
export function narrowerAllowances<Rule extends Allowance>(
  rules: readonly Rule[],
  asked: AskedAccess,
): Rule[] {
  if (!asked.isResource) return [];
  return rules.filter((rule) => {
    const namespace = rule.namespaces.includes('*') ? asked.namespace : (rule.namespaces[0] ?? '');
    const name = rule.resourceNames?.[0] ?? asked.name;
    return allows(rule, { ...asked, namespace, name });
  });
}
