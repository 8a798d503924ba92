import { isDeepStrictEqual } from 'node:util';
import { type AdmissionPolicy, admissionPolicy } from '../../core/admission/admission-policy.ts';
import type { KeptAdmissionPolicy } from '../../core/admission/admission-policy-repository.ts';
import { importPolicies } from '../../core/admission/policy-import.ts';
import type { PolicyImported } from '../../core/admission/policy-test-schema.ts';
import { ifMatches } from '../../core/api/entity-tag.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import { schemaFaults } from '../../core/problem/schema-faults.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';

type Needs = Pick<Dependencies, 'policies' | 'logger'>;

const part = 'The admission policy';
/** How often an import is made anew on what somebody else has just stored. */
const maxAttempts = 4;

/** The entity tag of a revision. */
export const tagOf = (revision: number): string => `"${revision}"`;

/** The policy that holds. Units: 1 read per 4 KB of it. */
export const showPolicy = (
  { policies }: Pick<Needs, 'policies'>,
  tenantId: string,
): Promise<KeptAdmissionPolicy> => reached(part, policies.read(tenantId));

/**
 * Replaces the whole policy; it holds from the next review on. With `ifMatch` only if the policy is still that of one of
 * these entity tags: else CONFLICT. Throws LIMIT_REACHED. Units: 1 write per KB; with `ifMatch` 1 read per 4 KB before.
 */
export async function replacePolicy(
  { policies, logger }: Needs,
  { tenantId, principal }: Caller,
  { policy, ifMatch }: { policy: AdmissionPolicy; ifMatch: string | undefined },
): Promise<KeptAdmissionPolicy> {
  const before = ifMatch === undefined ? undefined : await reached(part, policies.read(tenantId));
  const isOther = before !== undefined && !ifMatches(ifMatch ?? '', tagOf(before.revision));
  const revision = isOther
    ? undefined
    : await reached(part, policies.write(tenantId, policy, before?.revision));
  if (revision === undefined) {
    throw new Problem('CONFLICT', 'The policy is not the one of If-Match any more: read it again.');
  }
  logger.info('admission policy changed', { tenantId, principal, revision });
  return { revision, policy };
}

/**
 * Takes ContainerAdmissionPolicy resources over: those of a name that is there replace it, others are added; the rest
 * stays. All or nothing: INVALID_REQUEST says what is wrong where. Throws LIMIT_REACHED, and CONFLICT after four times
 * that somebody else was quicker. Units: 1 read per 4 KB, 1 write per KB; with `dryRun` no write.
 */
export async function importedPolicy(
  { policies, logger }: Needs,
  { tenantId, principal }: Caller,
  { text, dryRun }: { text: string; dryRun: boolean },
): Promise<PolicyImported & { readonly revision: number }> {
  const given = importPolicies(text);
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const before = await reached(part, policies.read(tenantId));
    const merge = merged(before.policy, given);
    const isSame = merge.added.length + merge.replaced.length === 0;
    if (dryRun || isSame) return { ...merge, stored: !dryRun, revision: before.revision };
    const revision = await reached(part, policies.write(tenantId, merge.policy, before.revision));
    if (revision !== undefined) {
      logger.info('admission policies imported', { tenantId, principal, revision });
      return { ...merge, stored: true, revision };
    }
  }
  throw new Problem('CONFLICT', 'Others are changing the policy, too: try again.');
}

function merged(before: AdmissionPolicy, given: AdmissionPolicy['policies']): Omit<PolicyImported, 'stored'> {
  const policies = new Map(before.policies.map((each) => [each.name, each]));
  const [added, replaced, unchanged]: [string[], string[], string[]] = [[], [], []];
  for (const each of given) {
    const old = policies.get(each.name);
    (!old ? added : isDeepStrictEqual(old, each) ? unchanged : replaced).push(each.name);
    policies.set(each.name, each);
  }
  const together = admissionPolicy.safeParse({ ...before, policies: [...policies.values()] });
  if (!together.success) {
    throw new Problem('INVALID_REQUEST', 'Together with the policies that are there these are too many.', {
      errors: schemaFaults(together.error),
    });
  }
  return { added, replaced, unchanged, policy: together.data };
}
