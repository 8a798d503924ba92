import { runSimulation } from '@cloud-copilot/iam-simulate';
import type { RequestAnalysis, RunSimulationResults } from '@cloud-copilot/iam-simulate';
import QuickLRU from 'quick-lru';
import { AwsError } from '../aws-error.ts';
import type { Session } from '../sessions.ts';
import type { EndpointLog } from '../specs.ts';
import type { PolicyDocument, PolicySource } from './policy-source.ts';

export type Context = Record<string, string | string[]>;

/** One thing that a call wants to do. A batch is several, and every one must be allowed. */
export type Access = {
  /** As in a policy: `dynamodb:GetItem`. */
  action: string;
  /** ARN, or `*` for actions that know no resource. */
  resource: string;
  /** The ARN whose resource policy counts, where it is not `resource` itself: an object's bucket, an index's table. */
  policyOf?: string;
  /** The service's condition keys of this request. A key that the request does not have must be absent. */
  context?: Context;
};

export type Decision = { allowed: true } | { allowed: false; reason: string };

/** Decisions depend on role, tags and request alone, so they are kept; this many take some 5 MB. */
const remembered = 5_000;

/**
 * Evaluates the policies of the template on every call, as IAM would in one account. Context keys that every request has:
 * aws:PrincipalTag/…, aws:PrincipalArn, aws:PrincipalAccount, aws:PrincipalType, aws:RequestedRegion,
 * aws:ResourceAccount, aws:SourceIp and aws:SecureTransport and s3:TlsVersion (true and 1.3: the endpoint stands for AWS's TLS). Time-dependent keys are
 * not given, because decisions are remembered; nor aws:userid, which is random per session.
 */
export class Authoriser {
  private readonly decisions = new QuickLRU<string, Decision>({ maxSize: remembered });
  private readonly options: { policies: PolicySource; accountId: string; region: string; log: EndpointLog };

  constructor(options: { policies: PolicySource; accountId: string; region: string; log: EndpointLog }) {
    this.options = options;
  }

  /** Resolves when every access is allowed; throws the service's "access denied" for the first that is not. */
  async require(session: Session, accesses: readonly Access[], denied: DeniedAs): Promise<void> {
    for (const access of accesses) {
      const decision = await this.decide(session, access);
      if (decision.allowed) continue;
      this.options.log.warn(
        { role: session.roleArn, action: access.action, resource: access.resource, reason: decision.reason },
        'access denied by the synthesised policies',
      );
      throw denied(
        `User: ${session.principalArn} is not authorized to perform: ${access.action} on resource: ${access.resource} ${decision.reason}`,
      );
    }
  }

  async decide(session: Session, access: Access): Promise<Decision> {
    if (session.kind === 'operator') return { allowed: true };
    const key = JSON.stringify([session.principalArn, session.tags, session.policy ?? null, access]);
    const known = this.decisions.get(key);
    if (known) return known;
    const decision = await this.evaluate(session, access);
    this.decisions.set(key, decision);
    return decision;
  }

  private async evaluate(session: Session, access: Access): Promise<Decision> {
    const { policies, accountId, region, log } = this.options;
    const role = policies.rolePolicies(session.roleArn);
    if (!role) return { allowed: false, reason: `because the role ${session.roleArn} does not exist` };
    const resourcePolicy =
      policies.resourcePolicy(access.policyOf ?? access.resource) ?? trustOf(policies, access);
    const contextVariables: Context = {
      'aws:PrincipalArn': session.roleArn,
      'aws:PrincipalAccount': session.principalArn.split(':')[4] ?? accountId,
      'aws:PrincipalType': 'AssumedRole',
      'aws:RequestedRegion': region,
      'aws:ResourceAccount': accountId,
      'aws:SecureTransport': 'true',
      ...(access.action.startsWith('s3:') ? { 's3:TlsVersion': '1.3' } : {}),
      'aws:SourceIp': '127.0.0.1',
      ...Object.fromEntries(
        Object.entries(session.tags).map(([tag, value]) => [`aws:PrincipalTag/${tag}`, value]),
      ),
      ...access.context,
    };
    const result = await runSimulation(
      {
        request: {
          principal: session.principalArn,
          action: access.action,
          resource: {
            resource: literal(access.resource),
            accountId: accountOf(access.resource) ?? accountId,
          },
          contextVariables,
        },
        ...(session.policy === undefined ? {} : { sessionPolicy: session.policy }),
        identityPolicies: role.inline.map((policy, position) => ({ name: `policy-${position}`, policy })),
        serviceControlPolicies: [],
        resourceControlPolicies: [],
        ...(resourcePolicy === undefined ? {} : { resourcePolicy }),
        ...(role.permissionsBoundary === undefined
          ? {}
          : { permissionBoundaryPolicies: [{ name: 'boundary', policy: role.permissionsBoundary }] }),
      },
      { simulationMode: 'Strict' },
    );
    if (result.resultType === 'error') {
      // A policy that cannot be evaluated allows nothing; the owner must see why.
      log.error(
        { role: session.roleArn, action: access.action, resource: access.resource, errors: result.errors },
        'policies cannot be evaluated',
      );
      return {
        allowed: false,
        reason: `because the policies cannot be evaluated (${result.errors.message})`,
      };
    }
    return decisionOf(result, access.action);
  }
}

export type DeniedAs = (message: string) => AwsError;

/** `AccessDeniedException`, as DynamoDB, KMS and Secrets Manager answer (status 400). */
export const accessDeniedException: DeniedAs = (message) => new AwsError('AccessDeniedException', message);
/** `AccessDenied`, as S3 and STS answer (status 403). */
export const accessDenied: DeniedAs = (message) => new AwsError('AccessDenied', message, 403);

/** A role is a resource too: its trust policy is what sts actions are judged by. */
const trustOf = (policies: PolicySource, access: Access): PolicyDocument | undefined =>
  access.action.startsWith('sts:') ? policies.rolePolicies(access.resource)?.trust : undefined;

/**
 * `*` and `?` in a request's resource are characters of an object's key. The simulator would take them for patterns, and let
 * `tenant/*` overlap with what another tenant may read; so they go in as private-use characters, which only a policy's own
 * wildcard matches.
 */
const literal = (resource: string): string =>
  resource === '*' ? resource : resource.replaceAll('*', '\ue02a').replaceAll('?', '\ue03f');

const accountOf = (arn: string): string | undefined => arn.split(':')[4] || undefined;

function decisionOf(
  result: Exclude<RunSimulationResults, { resultType: 'error' }>,
  action: string,
): Decision {
  if (result.overallResult === 'Allowed') return { allowed: true };
  const analysis = result.resultType === 'single' ? result.result.analysis : result.results[0]?.analysis;
  const kind = result.overallResult === 'ExplicitlyDenied' ? deniedBy(analysis) : undefined;
  return {
    allowed: false,
    reason: kind
      ? `with an explicit deny in ${kind} policy`
      : `because no ${missing(analysis)} policy allows the ${action} action`,
  };
}

function deniedBy(analysis: RequestAnalysis | undefined): string {
  if (analysis?.identityAnalysis?.result === 'ExplicitlyDenied') return 'an identity-based';
  if (analysis?.resourceAnalysis?.result === 'ExplicitlyDenied') return 'a resource-based';
  if (analysis?.sessionAnalysis?.result === 'ExplicitlyDenied') return 'a session';
  return 'a permissions boundary';
}

function missing(analysis: RequestAnalysis | undefined): string {
  if (analysis?.sessionAnalysis && analysis.sessionAnalysis.result !== 'Allowed') return 'session';
  if (analysis?.identityAnalysis?.result === 'Allowed') return 'resource-based';
  return 'identity-based';
}
