import { createHash } from 'node:crypto';
import QuickLRU from 'quick-lru';
import * as z from 'zod';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';
import { clusterDocument } from './cluster-document.ts';
import { changes, describeRequest, type RequestAttributes } from './request-attributes.ts';

/** `unknown`: the cluster did not say; its own RBAC decides when the request comes. */
type Standing = 'granted' | 'lacking' | 'unknown';

const accessReview = z.object({ status: z.object({ allowed: z.boolean() }) });
const reviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

type Options = {
  readonly now: () => number;
  /** How long a right that was granted is taken for granted, ms. */
  readonly grantedMs?: number;
  /** How long all other answers hold, ms: whoever has just granted a right does not wait long for it. */
  readonly otherMs?: number;
  readonly timeoutMs?: number;
  readonly maxSize?: number;
};

/**
 * Whether clusters have granted their Guardian what a request would do. A request that changes something acts as
 * Guardian's account there; where that has no such right we refuse it with a remedy, and the cluster never sees it.
 *
 * We ask the cluster itself, by a SelfSubjectAccessReview through the tunnel, which answers for Guardian's account:
 * one request into the cluster for each verb, resource and namespace a minute. If it cannot be asked, the request goes
 * on: the cluster judges it in any case.
 */
export class GuardianRights {
  readonly #known: QuickLRU<string, { until: number; standing: Promise<Standing> }>;
  readonly #options: Required<Options>;

  constructor({ now, grantedMs = 60_000, otherMs = 10_000, timeoutMs = 3_000, maxSize = 10_000 }: Options) {
    this.#options = { now, grantedMs, otherMs, timeoutMs, maxSize };
    this.#known = new QuickLRU({ maxSize });
  }

  /** Rejects with Problem CLUSTER_GRANTS_NO_SUCH_RIGHT. Reading passes unasked. Only for requests about a resource. */
  async assertGranted(link: ClusterLink, attributes: RequestAttributes): Promise<void> {
    if (!changes(attributes)) return;
    // A right to all objects of a kind is the usual one; one to a single object is asked about only where that is not.
    const asked = attributes.name === '' ? [''] : ['', attributes.name];
    for (const name of asked) {
      if ((await this.#standing(link, { ...attributes, name })) !== 'lacking') return;
    }
    const { apiVerb: verb } = attributes;
    throw new Problem(
      'CLUSTER_GRANTS_NO_SUCH_RIGHT',
      `The cluster has not granted its Guardian the right to ${describeRequest({ ...attributes, verb })}. Whoever ` +
        `administers it grants that with the manifest of GET /v1/clusters/${link.clusterId}/manifest?access=edit, or ` +
        `lets its users act as themselves with ?access=impersonate.`,
    );
  }

  #standing(link: ClusterLink, attributes: RequestAttributes): Promise<Standing> {
    const { now, grantedMs, otherMs } = this.#options;
    // Hashed: names are as long as clients like.
    const asked = JSON.stringify([link.tenantId, link.clusterId, specOf(attributes)]);
    const key = createHash('sha256').update(asked).digest('base64');
    const known = this.#known.get(key);
    if (known && now() < known.until) return known.standing;
    const entry = { until: now() + grantedMs, standing: this.#ask(link, attributes) };
    this.#known.set(key, entry);
    void entry.standing.then((standing) => {
      if (standing !== 'granted') entry.until = now() + otherMs;
    });
    return entry.standing;
  }

  /** Never rejects. */
  async #ask(link: ClusterLink, attributes: RequestAttributes): Promise<Standing> {
    const review = {
      kind: 'SelfSubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      spec: specOf(attributes),
    };
    try {
      const { document } = await clusterDocument(link, reviewPath, {
        schema: accessReview,
        accept: 'application/json',
        timeoutMs: this.#options.timeoutMs,
        body: review,
      });
      return document.status.allowed ? 'granted' : 'lacking';
    } catch {
      return 'unknown';
    }
  }
}

/** `spec` of a SelfSubjectAccessReview (https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/). */
function specOf({
  apiVerb: verb,
  group,
  version,
  resource,
  subresource,
  namespace,
  name,
}: RequestAttributes) {
  return { resourceAttributes: { verb, group, version, resource, subresource, namespace, name } };
}
