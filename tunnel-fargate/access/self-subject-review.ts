import * as z from 'zod';
import { type Allowance, type AskedAccess, decide } from '../../core/access/decision.ts';
import { connectingSubresources } from '../../core/access/kubernetes-verbs.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { ImpersonatedIdentity } from './impersonation.ts';
import {
  accessReviewSpec,
  ProtobufError,
  protobufMediaType,
  rulesReviewSpec,
  unwrap,
} from './kubernetes-protobuf.ts';
import type { RequestAttributes } from './request-attributes.ts';

/** The reviews of oneself that we answer: the cluster would speak of Guardian's account instead (design.md 16). */
export type ReviewKind = 'SelfSubjectAccessReview' | 'SelfSubjectRulesReview' | 'SelfSubjectReview';

export const maxReviewBytes = 64 * 1024;

/** Who asks, what they may do in this cluster, and whom the cluster sees in their stead. */
export type Reviewed = {
  readonly caller: Pick<Caller, 'principal' | 'scopes'>;
  readonly allowances: readonly Allowance[];
  readonly identity: ImpersonatedIdentity | undefined;
};

const text = z.string().nullish();
/** Loose, and without defaults: the answer repeats what was asked. */
const resourceAttributes = z.looseObject({
  verb: text,
  group: text,
  resource: text,
  subresource: text,
  namespace: text,
  name: text,
});
const accessReview = z.object({
  spec: z.looseObject({
    resourceAttributes: resourceAttributes.nullish(),
    nonResourceAttributes: z.looseObject({ verb: text, path: text }).nullish(),
  }),
});
const rulesReview = z.object({ spec: z.looseObject({ namespace: text }) });

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
 * The review, answered from the very rules that judge the caller's requests, as JSON. The request may be JSON or
 * Kubernetes' protobuf.
 * @throws Problem UNSUPPORTED_MEDIA_TYPE, INVALID_JSON, INVALID_REQUEST
 */
export function review(
  kind: ReviewKind,
  reviewed: Reviewed,
  request: { contentType: string | undefined; bytes: Buffer },
): Record<string, unknown> {
  const body = bodyOf(kind, request);
  const { caller, allowances, identity } = reviewed;
  const { principal, scopes } = caller;
  if (kind === 'SelfSubjectReview') {
    const userInfo = identity
      ? { username: identity.user, groups: identity.groups }
      : { username: principal, extra: { scopes: [...scopes] } };
    return { kind, apiVersion: 'authentication.k8s.io/v1', metadata: {}, status: { userInfo } };
  }
  const apiVersion = 'authorization.k8s.io/v1';
  if (kind === 'SelfSubjectRulesReview') {
    const { spec } = read(rulesReview, body);
    return { kind, apiVersion, metadata: {}, spec, status: rulesOf(reviewed, spec.namespace ?? '') };
  }
  const { spec } = read(accessReview, body);
  const { allowed } = decide(allowances, askedBy(spec));
  const reason = allowed
    ? `a role or an access rule of ${principal} allows it; ${further(identity)}`
    : `no role and no access rule of ${principal} allows it`;
  return { kind, apiVersion, metadata: {}, spec, status: { allowed, reason } };
}

const further = (identity: ImpersonatedIdentity | undefined): string =>
  identity
    ? `the cluster decides further, by its own RBAC for ${identity.user}`
    : "what Guardian's account may do in the cluster limits it further";

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

function askedBy(spec: z.infer<typeof accessReview>['spec']): AskedAccess {
  const { resourceAttributes: of, nonResourceAttributes } = spec;
  const [resource = '', subresource = of?.subresource ?? ''] = (of?.resource ?? '').split('/');
  const nothing = { path: '', group: '', resource: '', subresource: '', namespace: '', name: '' };
  if (!of) {
    const { verb, path } = nonResourceAttributes ?? {};
    return { ...nothing, isResource: false, verb: verb ?? '', path: path ?? '' };
  }
  return {
    ...nothing,
    isResource: true,
    // As of requests: what the verb of a Kubernetes API is there does not tell these apart.
    verb: connectingSubresources.has(subresource) ? 'connect' : (of.verb ?? ''),
    group: of.group ?? '',
    resource,
    subresource,
    namespace: of.namespace ?? '',
    name: of.name ?? '',
  };
}

/** The rules for a namespace; empty: for requests that name none. Verbs as Kubernetes names them, beside our `connect`. */
function rulesOf({ allowances, identity }: Reviewed, namespace: string) {
  const here = allowances.filter(
    ({ namespaces }) => namespaces.includes('*') || namespaces.includes(namespace),
  );
  const resourceRules = here.flatMap(({ verbs, apiGroups, resources, resourceNames }) => {
    const rule = { apiGroups, ...(resourceNames ? { resourceNames } : {}) };
    const connecting = resources.filter((name) => connectingSubresources.has(name.split('/')[1] ?? ''));
    const others = resources.filter((name) => !connecting.includes(name));
    const connects = verbs.includes('connect') || verbs.includes('*');
    return [
      ...(others.length > 0 ? [{ ...rule, verbs, resources: others }] : []),
      ...(connecting.length > 0 && connects
        ? [{ ...rule, verbs: ['connect', 'create', 'get'], resources: connecting }]
        : []),
    ];
  });
  const nonResourceRules = allowances.flatMap(({ verbs, nonResourceURLs }) =>
    nonResourceURLs ? [{ verbs, nonResourceURLs }] : [],
  );
  const told =
    'exec, attach, portforward and proxy need the verb connect; rules for what is in no namespace are listed without one';
  return {
    resourceRules,
    nonResourceRules,
    incomplete: true,
    evaluationError: `${further(identity)}; ${told}`,
  };
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const result = schema.safeParse(body);
  if (!result.success) throw new Problem('INVALID_REQUEST', 'The review has an unknown shape.');
  return result.data;
}
