import { decide, type Decision } from '../../core/admission/decide.ts';
import { type AdmissionPolicy, readyPolicy } from '../../core/admission/admission-policy.ts';
import type { AdmissionRequest } from '../../core/admission/admission-review.ts';
import type { KnownImage } from '../../core/admission/known-image.ts';
import { aliasesOf, workloadOf } from '../../core/admission/workload.ts';
import type { Dependencies } from './deps.ts';
import type { RecentJudgements } from './recent-judgements.ts';

export type Judging = Pick<Dependencies, 'lookups' | 'rules' | 'policies'> & {
  readonly judgements: Pick<RecentJudgements, 'of'>;
};

export type Asked = {
  readonly request: AdmissionRequest;
  /** Epoch milliseconds: verdicts are as of then. */
  readonly at: number;
  /** One to try; else the stored one holds. */
  readonly policy?: AdmissionPolicy | undefined;
  readonly namespaceLabels?: Readonly<Record<string, string>> | undefined;
};

/**
 * Judges what a review would run, each different image once, under the rules and the policy of this moment.
 * Units: one batch, a read per 4 KB of each item: 1 for a tag, 2 for a digest, 1 for each of the two policies; nothing
 * for an object that runs no image. Rules that this process has not seen yet: what ImageRulesRepository says.
 */
export async function judgedReview(
  { lookups, rules, policies, judgements }: Judging,
  tenantId: string,
  { request, at, policy, namespaceLabels }: Asked,
): Promise<Decision> {
  const workload = workloadOf(request);
  if (!workload) return { allowed: true, wouldAllow: true, warnings: [], images: [] };
  const found = await lookups.find(tenantId, 'fault' in workload ? [] : aliasesOf(workload));
  const ready = await rules.ready(tenantId, { item: found.rules });

  const verdicts = new Map<string, readonly KnownImage[]>();
  for (const [alias, images] of found.images) {
    const known = images.map((image) => judgements.of(tenantId, image, { rules: ready, at }));
    verdicts.set(alias, known);
  }
  return decide({
    request,
    verdicts,
    policy: policy ? readyPolicy(policy) : policies.ready(tenantId, found.admission),
    settings: (path) => ready.admission(path),
    now: at,
    ...(namespaceLabels ? { namespaceLabels } : {}),
  });
}
