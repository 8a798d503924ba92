import {
  type AdmissionRequest,
  type AdmissionReviewAnswer,
  answerReview,
  patienceOf,
} from '../../core/admission/admission-review.ts';
import { within } from '../../core/aws/patience.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { judgedReview, type Judging } from './judged-review.ts';

/** What is left of an API server's patience for the way there and back, the gateway and the authorizer. */
const [leastMargin, mostMargin] = [100, 2_000];
/** The gateway gives up after 29 s, this function after 25. */
const longest = 20_000;

/** How long an answer may take, in milliseconds, where the API server waits as long as `timeout` says. */
export function deadlineOf(timeout: string | undefined): number {
  const patience = patienceOf(timeout);
  const margin = Math.min(Math.max(patience / 5, leastMargin), mostMargin);
  return Math.min(Math.max(patience - margin, patience / 2), longest);
}

const tooLate = () =>
  new Problem('TIMEOUT', 'The images could not be judged before the API server stops waiting.');

/**
 * Answers an API server's review. When it cannot be judged in time, or not at all, that is a problem with a status of
 * 500 or more (TIMEOUT, UNAVAILABLE) and no verdict: then the webhook's `failurePolicy` decides, which is its owner's choice.
 */
export async function answeredReview(
  deps: Judging & Pick<Dependencies, 'logger' | 'now'>,
  tenantId: string,
  { request, timeout }: { request: AdmissionRequest; timeout: string | undefined },
): Promise<AdmissionReviewAnswer> {
  const judged = judgedReview(deps, tenantId, { request, at: deps.now() });
  const decision = await within(deadlineOf(timeout), reached('What is known of images', judged), tooLate);
  if (!decision.wouldAllow) {
    // Who runs what is the tenant's own: its API server's audit log has it under this uid.
    deps.logger.info('not admitted', {
      tenantId,
      uid: request.uid,
      kind: request.kind.kind,
      allowed: decision.allowed,
      images: decision.images.filter(({ allowed }) => !allowed).length,
    });
  }
  return answerReview(request.uid, decision);
}
