import type { AccessRule } from '../../core/access/access-rule-repository.ts';
import { type Allowance, decide, narrowerAllowances } from '../../core/access/decision.ts';
import { clusterRolesOf, roleRules, subjectsOf } from '../../core/access/role-rules.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { RulesOfTenant } from './access-rules.ts';
import { changes, describeRequest, type RequestAttributes } from './request-attributes.ts';

type InCluster = { readonly clusterId: string };

/**
 * Who may do what in which cluster: first by the caller's role, then by the rules of their tenant, which only add to
 * it; so the rules are not read for what a role allows. Every request is judged, and running ones again and again.
 */
export class Authorisation {
  readonly #rulesOf: RulesOfTenant;

  constructor(rulesOf: RulesOfTenant) {
    this.#rulesOf = rulesOf;
  }

  /** Before anything is looked up: a credential that reaches no cluster at all. Rejects with Problem ACCESS_DENIED, UNAVAILABLE. */
  async assertReachesClusters(caller: Caller): Promise<void> {
    if (clusterRolesOf(caller).length > 0) return;
    if (subjectsOf(caller).length > 0 && (await this.#ruled(caller)).length > 0) return;
    throw new Problem(
      'ACCESS_DENIED',
      'This needs clusters:read, clusters:access, clusters:change or an access rule.',
    );
  }

  /** Judges one request, new or running. Rejects with Problem ACCESS_DENIED, UNAVAILABLE. */
  async authorise(caller: Caller, cluster: InCluster, attributes: RequestAttributes): Promise<void> {
    if (decide(byRole(caller), attributes).allowed) return;
    const rules = await this.#rulesIn(caller, cluster);
    if (decide([...rules, ...documentsOf(rules)], attributes).allowed) return;
    throw new Problem(
      'ACCESS_DENIED',
      `${caller.principal} may not ${describeRequest(attributes)}: this needs ${scopeText(attributes)} or an access rule.${whereInstead(rules, attributes)}`,
    );
  }

  /** All that a caller may do in a cluster, for reviews of oneself. Rejects with Problem UNAVAILABLE. */
  async allowances(caller: Caller, cluster: InCluster): Promise<readonly Allowance[]> {
    const rules = await this.#rulesIn(caller, cluster);
    return [...byRole(caller), ...rules, ...documentsOf(rules)];
  }

  async #rulesIn(caller: Caller, { clusterId }: InCluster): Promise<AccessRule[]> {
    const rules = await this.#ruled(caller);
    return rules.filter(({ clusters }) => clusters.includes('*') || clusters.includes(clusterId));
  }

  async #ruled(caller: Caller): Promise<AccessRule[]> {
    const own = subjectsOf(caller);
    const rules = own.length > 0 ? await this.#rulesOf(caller.tenantId) : [];
    return rules.filter(({ subjects }) => subjects.some((subject) => own.includes(subject)));
  }
}

const byRole = (caller: Caller): Allowance[] => clusterRolesOf(caller).flatMap((role) => roleRules[role]);

/** Whoever a rule lets into a cluster may also find out what the cluster serves. */
const documentsOf = (rules: readonly AccessRule[]): readonly Allowance[] =>
  rules.length > 0 ? roleRules.member : [];

const scopeText = (attributes: RequestAttributes): string =>
  changes(attributes) ? 'clusters:change (the role editor)' : 'clusters:access (the role viewer)';

/** How many of a caller's rules a refusal tells. */
const maxTold = 5;

function whereInstead(rules: readonly AccessRule[], attributes: RequestAttributes): string {
  const places = narrowerAllowances(rules, attributes).map(({ namespaces, resourceNames }) => {
    const names = resourceNames ? `for ${resourceNames.slice(0, maxTold).join(', ')}` : '';
    const inside = namespaces.filter((namespace) => namespace !== '*' && namespace !== '').slice(0, maxTold);
    return [names, inside.length > 0 ? `in ${inside.join(', ')}` : ''].filter(Boolean).join(' ');
  });
  const told = [...new Set(places)].filter(Boolean);
  if (told.length === 0) return '';
  const more = told.length > maxTold ? '; …' : '';
  return ` It is allowed ${told.slice(0, maxTold).join('; ')}${more}.`;
}
