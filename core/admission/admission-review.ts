import * as z from 'zod';
import { Problem } from '../problem/problem.ts';
import { schemaFaults } from '../problem/schema-faults.ts';
import { plain } from './plain-text.ts';

/** Go writes null for what is empty: both are absent. */
const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined);
const text = optional(z.string()).transform((value) => value ?? '');

/** A Kubernetes object, read further where its kind is known. */
const object = optional(z.record(z.string(), z.unknown()));

const admissionRequest = z.object({
  uid: z.string().min(1).max(256),
  kind: z.object({ group: text, version: z.string(), kind: z.string() }),
  subResource: text,
  name: text,
  namespace: text,
  operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
  userInfo: optional(z.object({ username: text })),
  object,
  oldObject: object,
});
/** What an API server asks (k8s.io/api/admission/v1 AdmissionRequest): the members that decide something here. */
export type AdmissionRequest = z.infer<typeof admissionRequest>;

export const admissionReview = z
  .object({
    apiVersion: z.literal('admission.k8s.io/v1', {
      error: "must be admission.k8s.io/v1: list v1 in the webhook's admissionReviewVersions",
    }),
    kind: z.literal('AdmissionReview'),
    request: admissionRequest,
  })
  .meta({
    id: 'AdmissionReview',
    description: 'k8s.io/api/admission/v1; members that decide nothing may be there',
  });

/** Reads an AdmissionReview v1 as an API server sends it, or says what is wrong: INVALID_REQUEST, without what stood there. */
export function readReview(json: unknown): { request: AdmissionRequest } | { problem: Problem } {
  const read = admissionReview.safeParse(json);
  if (read.success) return { request: read.data.request };
  const errors = schemaFaults(read.error);
  return { problem: new Problem('INVALID_REQUEST', 'This is no AdmissionReview v1.', { errors }) };
}

/** The answer to a request: k8s.io/api/admission/v1 AdmissionResponse. */
export const admissionReviewAnswer = z
  .object({
    apiVersion: z.literal('admission.k8s.io/v1'),
    kind: z.literal('AdmissionReview'),
    response: z.object({
      uid: z.string().meta({ description: "the request's" }),
      allowed: z.boolean(),
      status: z
        .object({ code: z.literal(403), reason: z.literal('Forbidden'), message: z.string() })
        .optional()
        .meta({ description: 'of what is not allowed: what is refused, why, and what to do' }),
      warnings: z.array(z.string()).readonly().optional().meta({ description: 'shown to whoever asked' }),
    }),
  })
  .meta({ id: 'AdmissionReviewAnswer' });
export type AdmissionReviewAnswer = z.infer<typeof admissionReviewAnswer>;

/** API servers cut a warning after 256 characters and drop what comes after 4,096 of all (Kubernetes' page on webhooks). */
const [maxWarning, maxWarnings] = [256, 4_096];
/** `kubectl` prints it in one line, after the webhook's name. */
export const maxMessage = 2_048;

export type Answer = {
  readonly allowed: boolean;
  readonly message?: string;
  readonly warnings: readonly string[];
};

/** The review that answers `uid`: printable, and as short as API servers pass on. `message` is for what is not allowed. */
export function answerReview(uid: string, { allowed, message, warnings }: Answer): AdmissionReviewAnswer {
  const shown = withinAll([...new Set(warnings.map((warning) => plain(warning, maxWarning)))]);
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed,
      ...(allowed
        ? {}
        : {
            status: {
              code: 403,
              reason: 'Forbidden',
              message: plain(message ?? 'Not admitted.', maxMessage),
            },
          }),
      ...(shown.length === 0 ? {} : { warnings: shown }),
    },
  };
}

/** As many as go into 4,096 characters, the last of them says how many do not. */
function withinAll(warnings: readonly string[]): string[] {
  const total = warnings.reduce((sum, { length }) => sum + length, 0);
  if (total <= maxWarnings) return [...warnings];
  const shown: string[] = [];
  let left = maxWarnings - maxWarning;
  for (const warning of warnings) {
    left -= warning.length;
    if (left < 0) break;
    shown.push(warning);
  }
  return [...shown, `and ${warnings.length - shown.length} more warnings`];
}

/**
 * Milliseconds that the API server waits, from `timeout` of the webhook's query, as Go writes durations (`10s`, `1.5s`,
 * `500ms`, `1m0s`). Absent or unreadable: Kubernetes' default of 10 s. At most the 30 s that a webhook may have.
 */
export function patienceOf(timeout: string | undefined): number {
  const [defaultMs, maxMs] = [10_000, 30_000];
  const parts = /^(?:(\d{1,3})m)?(?:(\d{1,4}(?:\.\d{1,9})?)s)?$/.exec(timeout ?? '');
  const millis = /^(\d{1,6}(?:\.\d{1,9})?)ms$/.exec(timeout ?? '')?.[1];
  const asked =
    millis !== undefined ? Number(millis) : (Number(parts?.[1] ?? 0) * 60 + Number(parts?.[2] ?? 0)) * 1_000;
  return asked > 0 ? Math.min(asked, maxMs) : defaultMs;
}
