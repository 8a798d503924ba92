import type { AdmissionRequest } from '../../core/admission/admission-review.ts';
import type { ImageJudgement } from '../../core/admission/decide.ts';
import type { PolicyTest, PolicyTestAnswer } from '../../core/admission/policy-test-schema.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { judgedReview, type Judging } from './judged-review.ts';

const maxFindings = 3;

/** What a review would be answered, and what decided over each of its images; nothing is stored. Units: those of a review. */
export async function testedPolicy(
  deps: Judging & Pick<Dependencies, 'now'>,
  tenantId: string,
  test: PolicyTest,
): Promise<PolicyTestAnswer> {
  const at = test.at === undefined ? deps.now() : Date.parse(test.at);
  const { policy, namespaceLabels } = test;
  const asked = { request: requestOf(test), at, policy, namespaceLabels };
  const { allowed, wouldAllow, message, warnings, images } = await reached(
    'What is known of images',
    judgedReview(deps, tenantId, asked),
  );
  return {
    at: new Date(at).toISOString(),
    allowed,
    wouldAllow,
    ...(message === undefined ? {} : { message }),
    warnings: [...warnings],
    images: images.map(imageView),
  };
}

/** The review, or one about a pod that runs the images. */
function requestOf({
  review,
  images = [],
  namespace = 'default',
  labels = {},
}: PolicyTest): AdmissionRequest {
  if (review) return review.request;
  return {
    uid: 'test',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    subResource: '',
    name: 'test',
    namespace,
    operation: 'CREATE',
    userInfo: undefined,
    object: {
      metadata: { name: 'test', labels },
      spec: { containers: images.map((image, index) => ({ name: `container-${index + 1}`, image })) },
    },
    oldObject: undefined,
  };
}

function imageView({ known, containers, ...judgement }: ImageJudgement): PolicyTestAnswer['images'][number] {
  return {
    ...judgement,
    containers: [...containers],
    ...(known
      ? {
          digest: known.digest,
          scannedAt: new Date(known.scannedAt).toISOString(),
          reasons: known.reasons.map(({ rule, total, findings }) => ({
            rule,
            total,
            findings: findings
              .slice(0, maxFindings)
              .map(({ vulnerability, package: name, version, fix }) => ({
                vulnerability,
                package: name,
                version,
                fix: { versions: fix.versions },
              })),
          })),
        }
      : {}),
  };
}
