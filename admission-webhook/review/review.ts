import {
  type AdmissionRequest,
  type AdmissionReviewAnswer,
  answerReview,
  patienceOf,
  readReview,
} from '../../core/admission/admission-review.ts';
import { decide } from '../../core/admission/decide.ts';
import type { KnownImage } from '../../core/admission/known-image.ts';
import { aliasesOf, type Workload, workloadOf } from '../../core/admission/workload.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { NamespaceLabels } from '../kubernetes/namespaces.ts';
import type { Knowledge } from '../knowledge/knowledge.ts';

/** From this age on each answer says how old the knowledge is. */
export const oldMs = 3_600_000;
/** Of the time that the API server waits, at most this share, and at most a second, goes to the labels of a namespace. */
const [labelsShare, longestLabelsMs] = [1 / 3, 1_000];

export type ReviewDependencies = {
  /** What is known now, and since when nothing newer has been heard, ms; undefined: nothing yet. */
  readonly known: () => { readonly knowledge: Knowledge; readonly ageMs: number } | undefined;
  readonly labels: (namespace: string, patienceMs: number) => Promise<NamespaceLabels | undefined>;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

/**
 * Answers an AdmissionReview v1. `timeout`: of the webhook's query. Throws Problem: INVALID_REQUEST for what is no review,
 * UNAVAILABLE while nothing is known, so that the failure policy of the webhook decides.
 */
export async function review(
  json: unknown,
  timeout: string | undefined,
  { known, labels, now }: ReviewDependencies,
): Promise<AdmissionReviewAnswer> {
  const read = readReview(json);
  if ('problem' in read) throw read.problem;
  const { request } = read;
  const workload = workloadOf(request);
  const { knowledge, ageMs } = sure(known());
  const { policy, settings } = knowledge;
  // What is no workload, or none that can be read, is decided without them.
  const named = workload && 'images' in workload ? workload : undefined;
  const namespaceLabels =
    named && knowledge.asksNamespaces ? await labels(request.namespace, patienceFor(timeout)) : undefined;
  // A clock that is behind must not take time's verdicts back: it is at least when the control plane signed.
  const moment = Math.max(now(), knowledge.issuedAt * 1_000);
  const decision = decide({
    request,
    verdicts: named ? verdictsOf(named, knowledge, moment) : new Map(),
    policy,
    settings,
    ...(namespaceLabels ? { namespaceLabels } : {}),
    now: moment,
  });
  const old = decision.images.length > 0 && ageMs >= oldMs ? [ageWarning(ageMs)] : [];
  return answerReview(request.uid, { ...decision, warnings: [...old, ...decision.warnings] });
}

/** One look for each alias, however many containers name it. */
const verdictsOf = (
  workload: Workload,
  { images }: Knowledge,
  now: number,
): ReadonlyMap<string, readonly KnownImage[]> =>
  new Map(aliasesOf(workload).map((alias) => [alias, images.named(alias, now)]));

/**
 * Answers a review that is too large to be read, be it as others are being read: it is not let in, as nobody knows what
 * is in it. An error would leave the answer to the failure policy, and so whoever makes an object large enough would get
 * past a webhook of `Ignore`.
 */
export function tooLarge(uid: AdmissionRequest['uid'], { known }: ReviewDependencies): AdmissionReviewAnswer {
  const allowed = sure(known()).knowledge.settings('').mode === 'audit';
  const message =
    'Cattery cannot judge this request: it is too large, or came with others that are. Make it smaller, or try again.';
  return answerReview(uid, { allowed, message, warnings: allowed ? [message] : [] });
}

function sure<T>(known: T | undefined): T {
  if (known === undefined) {
    const headers = { 'Retry-After': '5' };
    throw new Problem('UNAVAILABLE', 'No bundle of verdicts has been received yet.', { headers });
  }
  return known;
}

const patienceFor = (timeout: string | undefined): number =>
  Math.min(patienceOf(timeout) * labelsShare, longestLabelsMs);

const ageWarning = (ageMs: number): string =>
  `Cattery's knowledge of images is ${Math.floor(ageMs / 3_600_000)} h old: its control plane is not reached`;
