import * as z from 'zod';
import { digest, verdict } from '../image/image-schema.ts';
import { admissionPolicy } from './admission-policy.ts';
import { admissionReview } from './admission-review.ts';

const labels = z.record(z.string().max(317), z.string().max(63));

/** A question to an admission policy that nothing hangs on: what would become of these images, or of this review. */
export const policyTest = z
  .strictObject({
    review: admissionReview.optional().meta({ description: 'as an API server sends it' }),
    images: z
      .array(z.string().min(1).max(1_024))
      .min(1)
      .max(50)
      .optional()
      .meta({ description: 'in the place of a review: what a pod would run', example: ['nginx:1.29'] }),
    namespace: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
      .optional()
      .meta({ description: 'of that pod; default unless given' }),
    labels: labels.optional().meta({ description: 'of that pod' }),
    namespaceLabels: labels
      .optional()
      .meta({ description: "all of the namespace's; absent: not known, as where an API server asks" }),
    policy: admissionPolicy.optional().meta({ description: 'the one to try; absent: the stored one' }),
    at: z.iso
      .datetime({ offset: true })
      .optional()
      .meta({ description: 'the time to judge at; absent: now' }),
  })
  .superRefine(({ review, images, namespace, labels: ofPod }, context) => {
    if ((review === undefined) === (images === undefined)) {
      context.addIssue({ code: 'custom', message: 'must have either review or images' });
    }
    if (review === undefined) return;
    for (const [name, value] of Object.entries({ namespace, labels: ofPod })) {
      if (value === undefined) continue;
      context.addIssue({ code: 'custom', path: [name], message: 'the review says that itself' });
    }
  })
  .meta({ id: 'AdmissionPolicyTest' });
export type PolicyTest = z.infer<typeof policyTest>;

const isUncertain = z.boolean().meta({
  description: 'it hangs on labels of the namespace that are not known, so the harsher answer was taken',
});
const decided = z
  .discriminatedUnion('by', [
    z.object({ by: z.literal('exempt-namespace') }),
    z.object({ by: z.literal('exempt-image') }),
    z
      .object({ by: z.literal('unchanged') })
      .meta({ description: 'the object that is updated has it already' }),
    z
      .object({ by: z.literal('reference'), fault: z.string() })
      .meta({ description: 'it is no reference of an image' }),
    z
      .object({ by: z.literal('rule'), policy: z.string(), rule: z.int(), isUncertain })
      .meta({ description: 'rule: its place in the policy, from 1' }),
    z
      .object({ by: z.literal('unmatched'), isUncertain })
      .meta({ description: 'no rule matches: the member unmatched of the policy' }),
  ])
  .meta({ id: 'AdmissionDecidedBy' });

const reason = z.object({
  rule: z.string(),
  total: z.int(),
  findings: z
    .array(
      z.object({
        vulnerability: z.string(),
        package: z.string(),
        version: z.string(),
        fix: z.object({ versions: z.array(z.string()).readonly() }),
      }),
    )
    .meta({ description: 'the worst first; at most 3' }),
});

export const policyTestAnswer = z
  .object({
    at: z.iso.datetime(),
    allowed: z.boolean().meta({ description: 'what an API server would be answered' }),
    wouldAllow: z
      .boolean()
      .meta({ description: 'whether policy would have it so; audit mode allows all the same' }),
    message: z.string().optional(),
    warnings: z.array(z.string()),
    images: z
      .array(
        z.object({
          image: z.string(),
          containers: z.array(z.string()),
          status: z.union([verdict, z.literal('unscanned')]),
          digest: digest
            .optional()
            .meta({ description: 'of the image that is known under the name; of several the worst' }),
          scannedAt: z.iso.datetime().optional(),
          reasons: z.array(reason).optional(),
          allowed: z.boolean(),
          mode: z.enum(['enforce', 'audit']),
          decided,
        }),
      )
      .meta({ description: 'each different image; none if the object runs none' }),
  })
  .meta({ id: 'AdmissionPolicyTestAnswer' });
export type PolicyTestAnswer = z.infer<typeof policyTestAnswer>;

/** What became of an import, or would become of it. */
export const policyImported = z
  .object({
    stored: z.boolean().meta({ description: 'false: dryRun' }),
    added: z.array(z.string()).meta({ description: 'names of policies that were not there' }),
    replaced: z.array(z.string()).meta({ description: 'names of policies that were there otherwise' }),
    unchanged: z.array(z.string()).meta({ description: 'names of policies that were there as they are' }),
    policy: admissionPolicy,
  })
  .meta({ id: 'AdmissionPolicyImport' });
export type PolicyImported = z.infer<typeof policyImported>;
