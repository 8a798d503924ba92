import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';
import type { Router } from '../directory/router.ts';
import type { Authentication } from './authentication.ts';
import { assertReachesClusters, authorise } from './authorisation.ts';
import { RefusedStream } from './cluster-answer.ts';
import type { ClusterLookup } from './cluster-lookup.ts';
import type { Discovery } from './discovery.ts';
import { aggregatedMediaType, aggregatedText, wantedAggregate } from './discovery-document.ts';
import type { Exchange } from './exchange.ts';
import { versionInfo } from './kubernetes-version.ts';
import { openApiDocument, openApiIndex } from './openapi.ts';
import { answerDocument, answerJson, assertReads, notAllowed } from './own-documents.ts';
import { proxy, type ProxiedAnswer } from './proxy.ts';
import {
  isEndless,
  isLongRunning,
  type Method,
  methods,
  requestAttributes,
  type RequestAttributes,
} from './request-attributes.ts';
import { parseTarget, type RequestTarget } from './request-target.ts';
import { maxReviewBytes, review, type ReviewKind, reviewKind } from './self-subject-review.ts';

export type AccessDependencies = {
  readonly authenticate: Authentication;
  readonly findCluster: ClusterLookup;
  readonly router: Router;
  readonly discovery: Discovery;
  /** How long a request waits for a cluster that is reconnecting, ms. */
  readonly routeWaitMs: number;
  /** How long a cluster may take to begin an answer, ms. */
  readonly answerTimeoutMs: number;
  /** How long a body that we read ourselves may take, ms. */
  readonly bodyTimeoutMs: number;
};

/** What a request turned out to be, filled in as it is found out: for the log, and for the end of a drain. */
export type Finding = {
  caller?: Caller;
  cluster?: ClusterRecord;
  attributes?: RequestAttributes;
  /** Its answer does not end by itself; see {@link isEndless}. */
  endless?: boolean;
  streamed?: ProxiedAnswer;
};

/** Request heads beyond this many bytes are refused; the transports let a little more through, so that we can say so. */
export const maxHeadBytes = 32 * 1024;

/** What a client may do about a cluster that is away: Guardian dials again every 5 s (guardian.md §2.4). */
const retryAfterSeconds = 5;

/**
 * One request of a user: who is it, which cluster of their tenant, may they, and then an answer of ours or the cluster's.
 * The order matters: without a credential nothing is told apart, and another tenant's cluster is as absent as none.
 *
 * Settles when the answer has been passed on. Rejects with Problem, or with the reason of `exchange.gone`.
 */
export async function access(exchange: Exchange, deps: AccessDependencies, finding: Finding): Promise<void> {
  if (exchange.headBytes > maxHeadBytes) {
    throw new Problem('HEADERS_TOO_LARGE', `The head of the request is larger than ${maxHeadBytes} bytes.`);
  }
  if (!exchange.isWellFramed) throw new Problem('INVALID_REQUEST', 'The only transfer coding is chunked.');
  const target = parseTarget(exchange.target);
  const caller = await deps.authenticate(exchange.valuesOf('authorization'));
  finding.caller = caller;
  assertReachesClusters(caller);
  const cluster = await deps.findCluster(caller.tenantId, target.clusterId);
  finding.cluster = cluster;
  const attributes = requestAttributes(methodOf(exchange), target.segments, target.query);
  finding.attributes = attributes;
  finding.endless = isEndless(attributes, target.query);

  const asked = reviewKind(attributes);
  if (asked) return answerReview(exchange, deps, caller, asked);
  authorise(caller, attributes);
  if (exchange.wantsUpgrade) throw new Problem('UPGRADE_NOT_SUPPORTED');

  const [door = '', ...rest] = target.segments;
  if (door === 'version') {
    answerVersion(exchange, rest, cluster);
    return;
  }
  if (door === 'openapi') return answerOpenApi(exchange, rest, deps, { cluster, caller });
  const aggregate =
    rest.length === 0 && attributes.verb === 'get' ? wantedAggregate(exchange.headers.accept) : undefined;
  if (!aggregate) return passThrough(exchange, target, deps, finding, { caller, cluster, attributes });

  const { core, groups } = await deps.discovery.of(await linkTo(cluster, caller, deps, exchange.gone));
  const text = aggregatedText(door === 'api' ? core : groups, aggregate);
  answerDocument(exchange, text, { 'content-type': aggregatedMediaType(aggregate) });
}

async function passThrough(
  exchange: Exchange,
  target: RequestTarget,
  deps: AccessDependencies,
  finding: Finding,
  { caller, cluster, attributes }: { caller: Caller; cluster: ClusterRecord; attributes: RequestAttributes },
): Promise<void> {
  // Guardian redirects the bare roots to the form with a slash.
  const path = target.segments.length === 1 ? `/${target.segments.join('')}/` : target.path;
  const request = {
    path: path + target.query,
    prefix: `/clusters/${cluster.clusterId}`,
    timeoutMs: isLongRunning(attributes) ? undefined : deps.answerTimeoutMs,
  };
  const send = async () => proxy(exchange, await linkTo(cluster, caller, deps, exchange.gone), request);
  const refused = (error: unknown): never => {
    if (!(error instanceof RefusedStream)) throw error;
    throw new Problem('BAD_GATEWAY', 'The cluster refused the request unread; it may be sent again.');
  };
  finding.streamed = await send()
    // Untouched by the cluster, so it may go once more, unless a body has been read from the client and is gone.
    .catch((error: unknown) =>
      exchange.hasBody || !(error instanceof RefusedStream) ? refused(error) : send(),
    )
    .catch(refused);
  if (changesWhatIsServed(attributes)) deps.discovery.changed(cluster.clusterId);
  await finding.streamed.done;
}

async function linkTo(
  { clusterId }: ClusterRecord,
  { tenantId }: Caller,
  { router, routeWaitMs: waitMs }: AccessDependencies,
  signal: AbortSignal,
): Promise<ClusterLink> {
  const route = await router.route(clusterId, { waitMs, signal });
  if (route.kind === 'absent') {
    const since = route.since === undefined ? 'not connected yet' : sinceText(route.since);
    throw new Problem('CLUSTER_NOT_CONNECTED', `The cluster is ${since}.`, {
      headers: { 'Retry-After': String(retryAfterSeconds) },
    });
  }
  // Two sources say whose the cluster is: the tenant's own table and the certificate of its tunnel.
  if (route.link.tenantId !== tenantId || route.link.clusterId !== clusterId) {
    throw new Problem('INTERNAL', undefined, {
      cause: new Error(`the link of ${clusterId} is of ${route.link.tenantId} ${route.link.clusterId}`),
    });
  }
  return route.link;
}

const sinceText = (since: number) => `not connected since ${new Date(since).toISOString()}`;

function answerVersion(exchange: Exchange, rest: readonly string[], { facts }: ClusterRecord): void {
  if (rest.length > 0) throw new Problem('NOT_FOUND');
  assertReads(exchange);
  answerJson(exchange, 200, JSON.stringify(versionInfo(facts.kubernetesVersion)));
}

async function answerOpenApi(
  exchange: Exchange,
  [format, ...name]: readonly string[],
  deps: AccessDependencies,
  { cluster, caller }: { cluster: ClusterRecord; caller: Caller },
): Promise<void> {
  if (format === 'v2') {
    throw new Problem(
      'NOT_FOUND',
      'There is no /openapi/v2 through the tunnel: use kubectl 1.29 or later, or --validate=false.',
    );
  }
  if (format !== 'v3') throw new Problem('NOT_FOUND');
  assertReads(exchange);
  const { core, groups } = await deps.discovery.of(await linkTo(cluster, caller, deps, exchange.gone));
  const served = [...core, ...groups];
  const text = name.length === 0 ? openApiIndex(served) : openApiDocument(served, name.join('/'));
  if (text === undefined) throw new Problem('NOT_FOUND');
  answerDocument(exchange, text);
}

async function answerReview(
  exchange: Exchange,
  { bodyTimeoutMs: timeoutMs }: AccessDependencies,
  caller: Caller,
  kind: ReviewKind,
): Promise<void> {
  const bytes = await exchange.readBody({ maxBytes: maxReviewBytes, timeoutMs });
  const contentType = exchange.headers['content-type'];
  answerJson(exchange, 201, JSON.stringify(review(kind, caller, { contentType, bytes })));
}

/** Kinds are added and removed by these two. */
const changesWhatIsServed = ({ verb, resource }: RequestAttributes): boolean =>
  !['get', 'list', 'watch'].includes(verb) &&
  (resource === 'customresourcedefinitions' || resource === 'apiservices');

function methodOf({ method }: Exchange): Method {
  const known = methods.find((candidate) => candidate === method);
  if (!known) throw notAllowed(methods);
  return known;
}
