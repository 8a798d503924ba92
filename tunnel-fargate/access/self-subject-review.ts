import * as z from 'zod';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import { scopeFor } from './authorisation.ts';
import {
  accessReviewSpec,
  ProtobufError,
  protobufMediaType,
  rulesReviewSpec,
  unwrap,
} from './kubernetes-protobuf.ts';
import { requestAttributes, type RequestAttributes, type Verb } from './request-attributes.ts';

/** The reviews of oneself that we answer: the cluster would speak of Guardian's account instead (design.md 16). */
export type ReviewKind = 'SelfSubjectAccessReview' | 'SelfSubjectRulesReview' | 'SelfSubjectReview';

export const maxReviewBytes = 64 * 1024;

const limits = "what Guardian's account may do in the cluster limits it further";

/** Loose, and without defaults: the answer repeats what was asked. */
const resourceAttributes = z.looseObject({
  verb: z.string().nullish(),
  subresource: z.string().nullish(),
  resource: z.string().nullish(),
});
const accessReview = z.object({
  spec: z.looseObject({
    resourceAttributes: resourceAttributes.nullish(),
    nonResourceAttributes: z.looseObject({ verb: z.string().nullish() }).nullish(),
  }),
});
const rulesReview = z.object({ spec: z.looseObject({ namespace: z.string().nullish() }) });

/** Which review a request asks for; undefined: none, it goes into the cluster. */
export function reviewKind(attributes: RequestAttributes): ReviewKind | undefined {
  const { verb, group, version, resource, subresource, namespace, name } = attributes;
  if (verb !== 'create' || version !== 'v1' || subresource !== '' || namespace !== '' || name !== '') {
    return undefined;
  }
  if (group === 'authorization.k8s.io') {
    if (resource === 'selfsubjectaccessreviews') return 'SelfSubjectAccessReview';
    if (resource === 'selfsubjectrulesreviews') return 'SelfSubjectRulesReview';
  }
  return group === 'authentication.k8s.io' && resource === 'selfsubjectreviews'
    ? 'SelfSubjectReview'
    : undefined;
}

/**
 * The review, answered from the caller's scopes, as JSON. The request may be JSON or Kubernetes' protobuf.
 * @throws Problem UNSUPPORTED_MEDIA_TYPE, INVALID_JSON, INVALID_REQUEST
 */
export function review(
  kind: ReviewKind,
  caller: Caller,
  request: { contentType: string | undefined; bytes: Buffer },
): Record<string, unknown> {
  const body = bodyOf(kind, request);
  if (kind === 'SelfSubjectReview') {
    const userInfo = { username: caller.principal, extra: { scopes: [...caller.scopes] } };
    return { kind, apiVersion: 'authentication.k8s.io/v1', metadata: {}, status: { userInfo } };
  }
  const apiVersion = 'authorization.k8s.io/v1';
  if (kind === 'SelfSubjectRulesReview') {
    const { spec } = read(rulesReview, body);
    return { kind, apiVersion, metadata: {}, spec, status: rulesOf(caller) };
  }
  const { spec } = read(accessReview, body);
  const scope = scopeAsked(spec);
  const allowed = caller.scopes.has(scope);
  const reason = allowed ? `${caller.principal} has ${scope}; ${limits}` : `this needs ${scope}`;
  return { kind, apiVersion, metadata: {}, spec, status: { allowed, reason } };
}

function bodyOf(
  kind: ReviewKind,
  { contentType = '', bytes }: { contentType: string | undefined; bytes: Buffer },
): unknown {
  const type = contentType.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/json') {
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch {
      throw new Problem('INVALID_JSON');
    }
  }
  if (type !== protobufMediaType) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', `The body must be application/json or ${protobufMediaType}.`);
  }
  try {
    const message = unwrap(bytes);
    return { spec: kind === 'SelfSubjectRulesReview' ? rulesReviewSpec(message) : accessReviewSpec(message) };
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw new Problem('INVALID_REQUEST', 'The review is not well-formed protobuf.', { cause: error });
  }
}

function scopeAsked(spec: z.infer<typeof accessReview>['spec']) {
  const { resourceAttributes: of, nonResourceAttributes } = spec;
  if (!of) return scopeFor({ verb: (nonResourceAttributes?.verb ?? '') as Verb });
  // The path's rules know which subresources act whatever the verb says.
  const [resource = '', subresource = of.subresource ?? ''] = (of.resource ?? '').split('/');
  const { verb } = requestAttributes('GET', ['api', 'v1', resource, 'name', subresource], '');
  return scopeFor({ verb: verb === 'connect' ? verb : ((of.verb ?? '') as Verb) });
}

function rulesOf({ scopes }: Caller) {
  const change = scopes.has('clusters:change');
  const verbs = change ? ['*'] : scopes.has('clusters:access') ? ['get', 'list', 'watch'] : [];
  return {
    resourceRules: [{ verbs, apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [{ verbs: change ? ['*'] : verbs.slice(0, 1), nonResourceURLs: ['*'] }],
    incomplete: true,
    evaluationError: change ? limits : `${limits}; exec, attach, portforward and proxy need clusters:change`,
  };
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const result = schema.safeParse(body);
  if (!result.success) throw new Problem('INVALID_REQUEST', 'The review has an unknown shape.');
  return result.data;
}
