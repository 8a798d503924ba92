import type { AccessRule } from '../../core/access/access-rule-repository.ts';
import {
  type AccessRuleRequest,
  type AccessRuleView,
  maxAccessRules,
} from '../../core/access/access-rule-schema.ts';
import { readingVerbs } from '../../core/access/kubernetes-verbs.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import { isoTime } from './cluster-view.ts';
import type { Dependencies } from './deps.ts';

const reading: ReadonlySet<string> = new Set(readingVerbs);

type Needs = Pick<Dependencies, 'accessRules' | 'now' | 'random' | 'logger'>;

/**
 * Lets somebody do more in the tenant's clusters, from within 2 s on. Throws ACCESS_DENIED where the caller may not do
 * so much (nobody gives what they have not), LIMIT_REACHED; requests at the same time
 * may go a little beyond the limit, never far: each has counted before it writes.
 * Units: 1 read per 4 KB of rules, 1 write per KB of the new one.
 */
export async function addAccessRule(
  { accessRules, now, random, logger }: Needs,
  { tenantId, principal, scopes }: Caller,
  request: AccessRuleRequest,
): Promise<AccessRuleView> {
  const needed = request.verbs.every((verb) => reading.has(verb)) ? 'clusters:access' : 'clusters:change';
  if (!scopes.has(needed)) {
    throw new Problem('ACCESS_DENIED', `Your credential does not have ${needed} itself.`);
  }
  if ((await accessRules.count(tenantId)) >= maxAccessRules) {
    throw new Problem('LIMIT_REACHED', `A tenant has at most ${maxAccessRules} access rules.`);
  }
  const rule = { ...request, ruleId: base32(random(10)), createdAt: now(), createdBy: principal };
  await accessRules.put(tenantId, rule);
  logger.info('access rule added', { tenantId, principal, ruleId: rule.ruleId });
  return accessRuleView(rule);
}

/** Takes a rule away; what it alone allowed, running requests too, ends within 5 s. Throws NOT_FOUND. Units: 1 to 3 writes. */
export async function removeAccessRule(
  { accessRules, logger }: Needs,
  { tenantId, principal }: Caller,
  ruleId: string,
): Promise<void> {
  if (!(await accessRules.remove(tenantId, ruleId))) throw new Problem('NOT_FOUND');
  logger.info('access rule removed', { tenantId, principal, ruleId });
}

/** A rule as the API shows it. */
export const accessRuleView = ({ createdAt, ...rule }: AccessRule): AccessRuleView => ({
  ...rule,
  createdAt: isoTime(createdAt),
});
