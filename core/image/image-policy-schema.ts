import * as z from 'zod';
import { globCost, imageGlobText } from './image-glob.ts';
import { severityWord, type SeverityWord, severities, verdict } from './image-schema.ts';

const threshold = z.union([z.number().min(0).max(10), severityWord, z.literal('never')], {
  error: 'must be a CVSS score (0 to 10), critical, high, medium, low, or never',
});
/** A CVSS score or a severity's word, both inclusive; `never`: nothing meets it. */
export type Threshold = z.infer<typeof threshold>;

const probability = z.number().min(0).max(1);

const members = {
  warnAt: threshold.meta({
    description: 'from which CVSS score, or from which severity, a finding warns (inclusive)',
  }),
  failAt: threshold.meta({
    description: 'from which CVSS score, or from which severity, a finding fails the image (inclusive)',
  }),
  onlyFixable: z.boolean().meta({ description: 'true: what has no fix does not count, whatever the rule' }),
  epss: z
    .strictObject({ warnAt: probability.optional(), failAt: probability.optional() })
    .refine(({ warnAt = 0, failAt = 1 }) => warnAt <= failAt, {
      message: 'warnAt must not be above failAt',
      path: ['warnAt'],
    })
    .meta({
      description: 'from which probability of exploitation (EPSS, inclusive) a finding warns, and fails',
    }),
  knownExploited: z
    .enum(['ignore', 'warn', 'fail'])
    .meta({ description: "what a finding in CISA's catalogue of exploited ones does, whatever its score" }),
  graceDays: z.int().min(0).max(365).meta({
    description:
      'what would fail only warns for so many times 24 hours after it became known; without a date there is no grace',
  }),
  maxScanAgeDays: z.int().min(1).max(3650).meta({
    description: 'from so many times 24 hours after its latest scan the image has at least the verdict stale',
  }),
  stale: verdict.meta({ description: 'verdict of an image of which the latest scan is that old' }),
  unscanned: verdict.meta({
    description: 'verdict, at admission, of an image of which no scan is known, and of a tag that none names',
  }),
  mode: z.enum(['enforce', 'audit']).meta({
    description: 'at admission; audit: the image is admitted, and what speaks against it is a warning',
  }),
};

/** Of all patterns of repositories: an admission review holds the path of each image against all of them. */
const maxGlobCost = 20_000;

const override = z.strictObject({
  repositories: z
    .array(imageGlobText)
    .min(1)
    .max(20)
    .meta({ description: 'as <registry>/<repository>', example: ['registry.example/shop/**'] }),
  warnAt: members.warnAt.optional(),
  failAt: members.failAt.optional(),
  onlyFixable: members.onlyFixable.optional(),
  epss: members.epss.optional(),
  knownExploited: members.knownExploited.optional(),
  graceDays: members.graceDays.optional(),
  maxScanAgeDays: members.maxScanAgeDays.optional(),
  stale: members.stale.optional(),
  unscanned: members.unscanned.optional(),
  mode: members.mode.optional(),
});
export type PolicyOverride = z.infer<typeof override>;

/**
 * What makes an image warn or fail. A threshold that is met exactly is met. Of the overrides the first that matches an
 * image's repository replaces the members that it has; an image in several repositories is judged by the policy of each,
 * and the worst verdict counts.
 */
export const imagePolicy = z
  .strictObject({
    warnAt: members.warnAt.default(4),
    failAt: members.failAt.default(9),
    onlyFixable: members.onlyFixable.default(false),
    epss: members.epss.default({}),
    knownExploited: members.knownExploited.default('ignore'),
    graceDays: members.graceDays.default(0),
    maxScanAgeDays: members.maxScanAgeDays.optional(),
    stale: members.stale.default('fail'),
    unscanned: members.unscanned.default('fail'),
    mode: members.mode.default('enforce'),
    overrides: z.array(override).max(50).default([]),
  })
  .superRefine((policy, context) => {
    if (!rises(policy)) context.addIssue({ code: 'custom', path: ['warnAt'], message: inverted });
    const globs = policy.overrides.flatMap(({ repositories }) => repositories);
    if (globs.reduce((sum, glob) => sum + globCost(glob), 0) > maxGlobCost) {
      context.addIssue({ code: 'custom', path: ['overrides'], message: 'have too long patterns together' });
    }
    for (const [index, each] of policy.overrides.entries()) {
      if (each.warnAt === undefined && each.failAt === undefined) continue;
      if (rises({ warnAt: each.warnAt ?? policy.warnAt, failAt: each.failAt ?? policy.failAt })) continue;
      const member = each.warnAt === undefined ? 'failAt' : 'warnAt';
      context.addIssue({ code: 'custom', path: ['overrides', index, member], message: inverted });
    }
  })
  .meta({ id: 'ImagePolicy' });
export type ImagePolicy = z.infer<typeof imagePolicy>;

/** A policy as it is for one repository. */
export type RepositoryPolicy = Omit<ImagePolicy, 'overrides'>;

export const defaultImagePolicy: ImagePolicy = imagePolicy.parse({});

const inverted = 'warnAt must not be above failAt';

/** Scores and words cannot be compared with each other, and who writes `never` means it. */
function rises({ warnAt, failAt }: Pick<ImagePolicy, 'warnAt' | 'failAt'>): boolean {
  if (typeof warnAt === 'number' && typeof failAt === 'number') return warnAt <= failAt;
  if (isWord(warnAt) && isWord(failAt)) return severities.indexOf(warnAt) >= severities.indexOf(failAt);
  return true;
}

const isWord = (given: Threshold): given is SeverityWord => typeof given === 'string' && given !== 'never';
