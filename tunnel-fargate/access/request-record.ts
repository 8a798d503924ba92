import type { AuditFacts, AuditOutcome } from '../../core/audit/audit-record.ts';
import type { Problem } from '../../core/problem/problem.ts';
import type { Finding } from './access.ts';
import { ClientGone, type Exchange } from './exchange.ts';
import type { RequestAttributes } from './request-attributes.ts';

/** What the audit trail keeps of a request from its start: who wants what of which cluster. No query, header or body. */
export function factsOf(
  { requestId }: Pick<Exchange, 'requestId'>,
  { caller, asked, attributes, reauthorise }: Finding,
): AuditFacts {
  return {
    requestId,
    ...(caller ? { principal: caller.principal } : {}),
    ...(asked === undefined ? {} : { clusterId: asked }),
    ...(attributes ? wantedOf(attributes) : {}),
    decision: reauthorise ? 'allowed' : 'refused',
  };
}

const wantedOf = ({ verb, isResource, path, ...of }: RequestAttributes): AuditFacts => {
  if (!isResource) return { verb, path };
  const { group, resource, subresource, namespace, name } = of;
  return { verb, group, resource, subresource, namespace, name };
};

/** The same and how it went. `durationMs` since the request's head was read. */
export function endFactsOf(
  exchange: Exchange,
  finding: Finding,
  { problem, durationMs }: { problem: Problem | undefined; durationMs: number },
): AuditFacts {
  const { status, traffic } = exchange;
  return {
    ...factsOf(exchange, finding),
    ...(problem ? { code: problem.code } : {}),
    ...(status === undefined ? {} : { status }),
    bytesIn: traffic.received,
    bytesOut: traffic.sent,
    durationMs: Math.max(0, Math.round(durationMs)),
    outcome: outcomeOf(exchange, finding),
  };
}

function outcomeOf({ gone }: Exchange, { revoked }: Finding): AuditOutcome {
  if (revoked === true) return 'revoked';
  if (!gone.aborted) return 'complete';
  return gone.reason instanceof ClientGone ? 'client-gone' : 'cut';
}

/** What the log keeps of a request: who, what and how it ended; no query, no header, no body. */
export function logLineOf(exchange: Exchange, { caller, cluster, attributes }: Finding) {
  return {
    requestId: exchange.requestId,
    method: exchange.method,
    ...(caller
      ? { tenantId: caller.tenantId, principal: caller.principal }
      : { remoteAddress: exchange.remoteAddress }),
    ...(cluster ? { clusterId: cluster.clusterId } : {}),
    ...(attributes
      ? {
          verb: attributes.verb,
          ...(attributes.isResource
            ? {
                group: attributes.group,
                resource: attributes.resource,
                subresource: attributes.subresource,
                namespace: attributes.namespace,
                name: attributes.name,
              }
            : { path: attributes.path }),
        }
      : {}),
    status: exchange.status,
  };
}
