import type { Answer, AwsCall, AwsService } from '../aws-call.ts';
import { AwsError, notServed } from '../aws-error.ts';
import { accessDenied } from '../iam/authoriser.ts';
import type { Access, Authoriser, Context } from '../iam/authoriser.ts';
import type { PolicySource } from '../iam/policy-source.ts';
import { isSessionName, parseRoleArn, roleSession } from '../sessions.ts';
import type { Sessions } from '../sessions.ts';
import type { EndpointLog } from '../specs.ts';
import { xmlDocument } from '../xml-text.ts';
import type { XmlNode } from '../xml-text.ts';

const namespace = 'https://sts.amazonaws.com/doc/2011-06-15/';
const minSeconds = 900;
/** A session that was itself assumed may be passed on for one hour at most. */
const chainedSeconds = 3_600;
const maxTags = 50;

/** STS: who am I, and sessions of the template's roles with session tags. */
export function stsService(options: {
  sessions: Sessions;
  authoriser: Authoriser;
  policies: PolicySource;
  accountId: string;
  now: () => number;
  log: EndpointLog;
}): AwsService {
  const { sessions, authoriser, policies, accountId, now, log } = options;

  async function assumeRole(call: AwsCall, form: URLSearchParams): Promise<XmlNode> {
    const input = readAssumeRole(form, call.caller.kind === 'operator' ? 43_200 : chainedSeconds);
    const role = policies.rolePolicies(input.roleArn);
    const context: Context = {
      'sts:RoleSessionName': input.sessionName,
      ...Object.fromEntries(
        Object.entries(input.tags).map(([key, value]) => [`aws:RequestTag/${key}`, value]),
      ),
      // Absent without tags, as in AWS: that is what a policy's Null guard sees.
      ...(Object.keys(input.tags).length > 0 ? { 'aws:TagKeys': Object.keys(input.tags) } : {}),
      ...(input.externalId === undefined ? {} : { 'sts:ExternalId': input.externalId }),
    };
    const wanted =
      Object.keys(input.tags).length > 0 ? ['sts:AssumeRole', 'sts:TagSession'] : ['sts:AssumeRole'];
    const accesses: Access[] = wanted.map((action) => ({ action, resource: input.roleArn, context }));
    // A role that does not exist is refused in the same words as one that does not trust the caller.
    if (!role && call.caller.kind !== 'operator') {
      throw accessDenied(
        `User: ${call.caller.principalArn} is not authorized to perform: sts:AssumeRole on resource: ${input.roleArn}`,
      );
    }
    await authoriser.require(call.caller, accesses, accessDenied);
    if (!role) throw new AwsError('ValidationError', `There is no role ${input.roleArn}.`);
    if (input.seconds > (role.maxSessionDuration ?? 3_600)) {
      throw new AwsError(
        'ValidationError',
        'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
      );
    }
    const expiresAt = now() + input.seconds * 1000;
    const session = roleSession(input.roleArn, input.sessionName, {
      tags: input.tags,
      expiresAt,
      ...(input.policy === undefined ? {} : { policy: input.policy }),
    });
    const credentials = sessions.start(session);
    log.info(
      { caller: call.caller.principalArn, role: input.roleArn, tagKeys: Object.keys(input.tags) },
      'role assumed',
    );
    return {
      Credentials: {
        AccessKeyId: credentials.accessKeyId,
        SecretAccessKey: credentials.secretAccessKey,
        SessionToken: credentials.sessionToken,
        Expiration: new Date(expiresAt).toISOString(),
      },
      AssumedRoleUser: { AssumedRoleId: session.userId, Arn: session.principalArn },
    };
  }

  async function handle(call: AwsCall): Promise<Answer> {
    const form = new URLSearchParams(call.body?.toString('utf8') ?? '');
    const action = form.get('Action') ?? '';
    if (action === 'AssumeRole') return xmlResult(action, await assumeRole(call, form), call.requestId);
    if (action === 'GetCallerIdentity') {
      const { principalArn, userId } = call.caller;
      return xmlResult(action, { Arn: principalArn, UserId: userId, Account: accountId }, call.requestId);
    }
    throw notServed('sts', action);
  }

  return { handle, failure: stsFailure };
}

type AssumeRoleInput = {
  roleArn: string;
  sessionName: string;
  seconds: number;
  tags: Record<string, string>;
  externalId: string | undefined;
  policy: unknown;
};

function readAssumeRole(form: URLSearchParams, maxSeconds: number): AssumeRoleInput {
  const invalid = (message: string) => new AwsError('ValidationError', message);
  const roleArn = form.get('RoleArn') ?? '';
  if (!parseRoleArn(roleArn)) throw invalid(`${roleArn} is invalid`);
  const sessionName = form.get('RoleSessionName') ?? '';
  if (!isSessionName(sessionName))
    throw invalid('RoleSessionName must be 2 to 64 of the characters a-z A-Z 0-9 _ + = , . @ -');
  const seconds = Number(form.get('DurationSeconds') ?? '3600');
  if (!Number.isInteger(seconds) || seconds < minSeconds || seconds > maxSeconds) {
    throw invalid(`DurationSeconds must be between ${minSeconds} and ${maxSeconds} here.`);
  }
  for (const name of form.keys()) {
    if (
      /^(TransitiveTagKeys|PolicyArns|ProvidedContexts|SerialNumber|TokenCode|SourceIdentity)\b/.test(name)
    ) {
      throw invalid(`The laptop stack's sts does not serve ${name}.`);
    }
  }
  return {
    roleArn,
    sessionName,
    seconds,
    tags: readTags(form),
    externalId: form.get('ExternalId') ?? undefined,
    policy: readPolicy(form),
  };
}

function readTags(form: URLSearchParams): Record<string, string> {
  const tags: Record<string, string> = {};
  const seen = new Set<string>();
  for (let position = 1; form.has(`Tags.member.${position}.Key`); position += 1) {
    const key = form.get(`Tags.member.${position}.Key`) ?? '';
    const value = form.get(`Tags.member.${position}.Value`) ?? '';
    if (
      !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) ||
      !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u.test(value)
    ) {
      throw new AwsError(
        'ValidationError',
        `The session tag at position ${position} has characters or a length that STS does not take.`,
      );
    }
    // Tag keys differ by more than their case.
    if (seen.has(key.toLowerCase())) throw new AwsError('InvalidParameterValue', 'Duplicate tag keys found.');
    seen.add(key.toLowerCase());
    tags[key] = value;
    if (position > maxTags) throw new AwsError('ValidationError', `A session has at most ${maxTags} tags.`);
  }
  return tags;
}

function readPolicy(form: URLSearchParams): unknown {
  const text = form.get('Policy');
  if (text === null) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new AwsError('MalformedPolicyDocument', 'The session policy is not JSON.');
  }
}

const xmlResult = (action: string, result: XmlNode, requestId: string): Answer => ({
  status: 200,
  headers: { 'content-type': 'text/xml' },
  body: xmlDocument(`${action}Response`, namespace, {
    [`${action}Result`]: result,
    ResponseMetadata: { RequestId: requestId },
  }),
});

const stsFailure = (error: AwsError, requestId: string): Answer => ({
  status: error.status,
  headers: { 'content-type': 'text/xml', ...error.headers },
  body: xmlDocument('ErrorResponse', namespace, {
    Error: { Type: error.status >= 500 ? 'Receiver' : 'Sender', Code: error.code, Message: error.message },
    RequestId: requestId,
  }),
});
