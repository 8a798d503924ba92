import { isDeepStrictEqual } from 'node:util';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { AuditEntry, AuditTrail } from '../audit/audit-trail.ts';
import type { Router } from '../directory/router.ts';
import type { Admission, TenantUsage } from '../limits/tenant-usage.ts';
import type { Authorisation } from './authorisation.ts';
import { RefusedStream, Unanswered } from './cluster-answer.ts';
import type { ClusterLookup } from './cluster-lookup.ts';
import type { ClusterDiscovery, Discovery } from './discovery.ts';
import { aggregatedMediaType, aggregatedText, wantedAggregate } from './discovery-document.ts';
import type { Exchange } from './exchange.ts';
import type { GuardianRights } from './guardian-rights.ts';
import { impersonatedIdentity } from './impersonation.ts';
import { versionInfo } from './kubernetes-version.ts';
import { linkTo } from './link-to.ts';
import { openApiDocument, openApiIndex } from './openapi.ts';
import { answerDocument, answerJson, assertReads, notAllowed } from './own-documents.ts';
import { proxy, type ProxiedAnswer, type StillnessLimits } from './proxy.ts';
import {
  changes,
  isEndless,
  isLongRunning,
  type Method,
  methods,
  requestAttributes,
  type RequestAttributes,
  upgradeAttributes,
} from './request-attributes.ts';
import { factsOf } from './request-record.ts';
import { olderOpenApiV2, parseTarget, type RequestTarget } from './request-target.ts';
import { assertCallable, isStatistics, statisticsAttributes } from './statistics.ts';
import type { CallerOf } from './refused-credentials.ts';
import type { RefusedUpgrades } from './refused-upgrades.ts';
import { untilGone } from './until-gone.ts';
import { upgrade } from './upgrade.ts';
import { wholeBody } from './whole-body.ts';
import { maxReviewBytes, review, type ReviewKind, reviewKind } from './self-subject-review.ts';

export type AccessDependencies = {
  readonly callerOf: CallerOf;
  readonly findCluster: ClusterLookup;
  readonly authorisation: Authorisation;
  readonly guardianRights: GuardianRights;
  readonly router: Router;
  readonly discovery: Discovery;
  readonly refusedUpgrades: RefusedUpgrades;
  readonly limits: Pick<TenantUsage, 'admitRequest'>;
  readonly audit: Pick<AuditTrail, 'admit' | 'assertTakesChanges' | 'countRefusal'>;
  /** How long a request waits for a cluster that is reconnecting, ms. */
  readonly routeWaitMs: number;
  /** How long a cluster may take to begin an answer, ms. */
  readonly answerTimeoutMs: number;
  /** How long a body that we read ourselves may take, ms. */
  readonly bodyTimeoutMs: number;
  /** How long other bodies may stand still, except those of what may rightly be silent. */
  readonly still: StillnessLimits;
};

/** What a request turned out to be, filled in as it is found out: for the log, the audit trail, and the end of a drain. */
export type Finding = {
  caller?: Caller;
  cluster?: ClusterRecord;
  attributes?: RequestAttributes;
  /** Its answer does not end by itself; see {@link isEndless}. */
  endless?: boolean;
  streamed?: ProxiedAnswer;
  /** The ID of the cluster that it names, whosever that is. */
  asked?: string;
  /** Its place within its tenant's limits, and its room in its tenant's audit trail. */
  admission?: Admission;
  record?: AuditEntry;
  /** Set when it is let in: judges it again, for its caller as they are now. Rejects with Problem. */
  reauthorise?: (caller: Caller) => Promise<void> | void;
  /** It was ended because the right to it is gone. */
  revoked?: boolean;
};

/** Request heads beyond this many bytes are refused; the transports let a little more through, so that we can say so. */
export const maxHeadBytes = 32 * 1024;

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
  const caller = await deps.callerOf(exchange);
  finding.caller = caller;
  finding.asked = target.clusterId;
  admit(exchange, deps, finding, caller);
  await deps.authorisation.assertReachesClusters(caller);
  const cluster = await deps.findCluster(caller.tenantId, target.clusterId);
  finding.cluster = cluster;
  const attributes = attributesOf(exchange, target);
  finding.attributes = attributes;
  finding.endless = isEndless(attributes, target.query);

  const asked = reviewKind(attributes);
  if (asked) {
    finding.reauthorise = (fresh) => deps.authorisation.assertReachesClusters(fresh);
    return answerReview(exchange, deps, { caller, cluster }, asked);
  }
  await deps.authorisation.authorise(caller, cluster, attributes);
  if (changes(attributes)) deps.audit.assertTakesChanges(caller.tenantId);
  finding.reauthorise = async (fresh) => {
    // Whom the cluster sees is a setting of it.
    const now = await deps.findCluster(fresh.tenantId, cluster.clusterId);
    await deps.authorisation.authorise(fresh, now, attributes);
    assertSameIdentity([cluster, caller], [now, fresh]);
  };
  // What may go on for hours is on record from its start.
  if (finding.endless || exchange.wantsUpgrade) finding.record?.open(factsOf(exchange, finding));
  if (changes(attributes) && attributes.isResource && cluster.impersonation !== true) {
    const link = await linkTo(cluster, caller, deps, exchange.gone);
    await untilGone(deps.guardianRights.assertGranted(link, attributes), exchange.gone);
  }
  if (exchange.wantsUpgrade)
    return switchOver(exchange, target, deps, finding, { caller, cluster, attributes });

  if (isStatistics(target)) {
    assertCallable(exchange);
    return passThrough(exchange, target, deps, finding, { caller, cluster, attributes });
  }
  const [door = '', ...rest] = target.segments;
  if (door === 'version') {
    answerVersion(exchange, rest, cluster);
    return;
  }
  if (door === olderOpenApiV2) throw noOpenApiV2();
  if (door === 'openapi') return answerOpenApi(exchange, rest, deps, { cluster, caller });
  const aggregate =
    rest.length === 0 && attributes.verb === 'get' ? wantedAggregate(exchange.headers.accept) : undefined;
  if (!aggregate) return passThrough(exchange, target, deps, finding, { caller, cluster, attributes });

  const { core, groups } = await discovered(exchange, deps, { cluster, caller });
  const text = aggregatedText(door === 'api' ? core : groups, aggregate);
  answerDocument(exchange, text, { 'content-type': aggregatedMediaType(aggregate) });
}

/** What runs in the cluster under one name ends when it would be another: with fewer groups, or no longer as Guardian. */
function assertSameIdentity(
  before: readonly [ClusterRecord, Caller],
  now: readonly [ClusterRecord, Caller],
): void {
  if (isDeepStrictEqual(impersonatedIdentity(...before), impersonatedIdentity(...now))) return;
  const [, { principal }] = now;
  throw new Problem(
    'ACCESS_DENIED',
    `${principal} is known to the cluster by another name or other groups by now.`,
  );
}

function attributesOf(exchange: Exchange, target: RequestTarget): RequestAttributes {
  if (isStatistics(target)) return statisticsAttributes();
  const attributes = requestAttributes(methodOf(exchange), target.segments, target.query);
  return exchange.wantsUpgrade ? upgradeAttributes(attributes) : attributes;
}

/** What the cluster serves; a look at it is shared by many and may take long. */
async function discovered(
  exchange: Exchange,
  deps: AccessDependencies,
  { cluster, caller }: { cluster: ClusterRecord; caller: Caller },
): Promise<ClusterDiscovery> {
  const link = await linkTo(cluster, caller, deps, exchange.gone);
  return untilGone(deps.discovery.of(link), exchange.gone);
}

/** Counts the request against its tenant's limits and makes room for its record. @throws Problem TOO_MANY_REQUESTS, AUDIT_UNAVAILABLE */
function admit(
  { traffic }: Exchange,
  { limits, audit }: AccessDependencies,
  finding: Finding,
  { tenantId }: Caller,
): void {
  let admission: Admission;
  try {
    admission = limits.admitRequest(tenantId);
  } catch (error) {
    if (error instanceof Problem) audit.countRefusal(tenantId, error.code);
    throw error;
  }
  finding.admission = admission;
  traffic.watch((bytes) => admission.moved(bytes));
  finding.record = audit.admit(tenantId);
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
    still: isLongRunning(attributes) ? undefined : deps.still,
    identity: impersonatedIdentity(cluster, caller),
  };
  const send = async () => proxy(exchange, await linkTo(cluster, caller, deps, exchange.gone), request);
  const refused = (error: unknown): never => {
    if (!(error instanceof RefusedStream)) throw error;
    throw new Problem('BAD_GATEWAY', 'The cluster refused the request unread; it may be sent again.');
  };
  // A body has been read from the client and is gone. What only reads may be repeated (RFC 9110 §9.2.2): a Guardian that
  // its operator restarts, as for a renewed certificate, cuts what it has not answered.
  const mayRepeat = (error: unknown): boolean =>
    !exchange.hasBody &&
    (error instanceof RefusedStream || (error instanceof Unanswered && isSafe(exchange)));
  finding.streamed = await send()
    .catch((error: unknown) => (mayRepeat(error) ? send() : refused(error)))
    .catch(refused);
  if (changesWhatIsServed(attributes)) deps.discovery.changed(cluster.clusterId);
  await finding.streamed.done;
}

/** An upgraded connection ends in a drain as a watch does, and is judged again for as long as it lives. */
async function switchOver(
  exchange: Exchange,
  target: RequestTarget,
  deps: AccessDependencies,
  finding: Finding,
  { caller, cluster, attributes }: { caller: Caller; cluster: ClusterRecord; attributes: RequestAttributes },
): Promise<void> {
  finding.endless = true;
  finding.streamed = await upgrade(exchange, () => linkTo(cluster, caller, deps, exchange.gone), {
    target,
    subresource: attributes.subresource,
    timeoutMs: deps.answerTimeoutMs,
    still: deps.still.answer,
    identity: impersonatedIdentity(cluster, caller),
    principal: `${caller.tenantId} ${caller.principal}`,
    refused: deps.refusedUpgrades,
  });
  await finding.streamed.done;
}

function answerVersion(exchange: Exchange, rest: readonly string[], { facts }: ClusterRecord): void {
  if (rest.length > 0) throw new Problem('NOT_FOUND');
  assertReads(exchange);
  answerJson(exchange, 200, JSON.stringify(versionInfo(facts.kubernetesVersion)));
}

const noOpenApiV2 = (): Problem =>
  new Problem(
    'NOT_OFFERED',
    'There is no /openapi/v2 through the tunnel: use kubectl 1.29 or later, or --validate=false.',
  );

async function answerOpenApi(
  exchange: Exchange,
  [format, ...name]: readonly string[],
  deps: AccessDependencies,
  { cluster, caller }: { cluster: ClusterRecord; caller: Caller },
): Promise<void> {
  if (format === 'v2') throw noOpenApiV2();
  if (format !== 'v3') throw new Problem('NOT_FOUND');
  assertReads(exchange);
  const { core, groups } = await discovered(exchange, deps, { cluster, caller });
  const served = [...core, ...groups];
  const text = name.length === 0 ? openApiIndex(served) : openApiDocument(served, name.join('/'));
  if (text === undefined) throw new Problem('NOT_FOUND');
  answerDocument(exchange, text);
}

async function answerReview(
  exchange: Exchange,
  { bodyTimeoutMs: timeoutMs, authorisation }: AccessDependencies,
  { caller, cluster }: { caller: Caller; cluster: ClusterRecord },
  kind: ReviewKind,
): Promise<void> {
  const bytes = await wholeBody(exchange, { maxBytes: maxReviewBytes, timeoutMs });
  const contentType = exchange.headers['content-type'];
  const reviewed = {
    caller,
    allowances: kind === 'SelfSubjectReview' ? [] : await authorisation.allowances(caller, cluster),
    identity: impersonatedIdentity(cluster, caller),
  };
  answerJson(exchange, 201, JSON.stringify(review(kind, reviewed, { contentType, bytes })));
}

/** Kinds are added and removed by these two. */
const changesWhatIsServed = ({ verb, resource }: RequestAttributes): boolean =>
  changes({ verb }) && (resource === 'customresourcedefinitions' || resource === 'apiservices');

const isSafe = ({ method }: Exchange): boolean => method === 'GET' || method === 'HEAD';

function methodOf({ method }: Exchange): Method {
  const known = methods.find((candidate) => candidate === method);
  if (!known) throw notAllowed(methods);
  return known;
}
