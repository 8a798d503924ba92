import { createHash } from 'node:crypto';
import { ifMatches } from '../../core/api/entity-tag.ts';
import type { Caller } from '../../core/credential/caller.ts';
import type { ImagePolicy } from '../../core/image/image-policy-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import { type ExceptionDependencies, rulesPart } from './image-exceptions.ts';

/** A policy and its entity tag, which is another for another policy. */
export type TaggedPolicy = { readonly policy: ImagePolicy; readonly tag: string };

type Needs = Pick<ExceptionDependencies, 'rules' | 'logger'>;

/** Units: those of reading the rules. */
export async function readPolicy({ rules }: Needs, tenantId: string): Promise<TaggedPolicy> {
  return tagged((await reached(rulesPart, rules.find(tenantId))).policy);
}

/**
 * Replaces the policy; verdicts follow at once. The same again is no change: clusters' bundles of verdicts would be sent
 * anew for it. `ifMatch`: only if the policy is still that of one of these tags, else CONFLICT. Throws LIMIT_REACHED,
 * CONFLICT. Units: those of a change of the rules.
 */
export async function setPolicy(
  { rules, logger }: Needs,
  { tenantId, principal }: Caller,
  { policy, ifMatch }: { readonly policy: ImagePolicy; readonly ifMatch: string | undefined },
): Promise<TaggedPolicy> {
  let replaced = policy;
  const stored = await reached(
    rulesPart,
    rules.change(tenantId, (before) => {
      const now = tagOf(before.policy);
      if (now === tagOf(policy)) return before;
      if (ifMatch !== undefined && !ifMatches(ifMatch, now)) {
        throw new Problem('CONFLICT', 'The policy is not the one of If-Match any more: read it again.');
      }
      replaced = before.policy;
      return { ...before, policy };
    }),
  );
  if (replaced !== policy)
    logger.info('image policy set', { tenantId, principal, revision: stored.revision });
  return tagged(stored.policy);
}

const tagged = (policy: ImagePolicy): TaggedPolicy => ({ policy, tag: tagOf(policy) });

/** Of its JSON: zod gives members in the schema's order, whatever order they came in. */
const tagOf = (policy: ImagePolicy): string =>
  `"${createHash('sha256').update(JSON.stringify(policy)).digest('hex').slice(0, 32)}"`;
