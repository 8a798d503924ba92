import {
  type AdmissionReviewAnswer,
  admissionReviewAnswer,
} from '../../../core/admission/admission-review.ts';
import { reviewOf } from '../../core/admission/review.ts';

/** The review of a pod that runs these images. */
export const podReview = (images: readonly string[], more: object = {}) =>
  reviewOf({
    kind: 'Pod',
    object: {
      metadata: { name: 'web' },
      spec: { containers: images.map((image, index) => ({ name: `c${index}`, image })) },
    },
    ...more,
  });

/** The response of a review's answer, which must be one. */
export const answerOfReview = (json: unknown): AdmissionReviewAnswer['response'] =>
  admissionReviewAnswer.parse(json).response;
