import type { APIGatewayAuthorizerResult, APIGatewayRequestAuthorizerEvent } from 'aws-lambda';
import { authorizerContext } from '../../core/api/authorizer-context.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { credentialKind } from '../../core/credential/credential-kind.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';
import { stagePolicy } from './policy.ts';

/** The text that makes API Gateway answer 401; any other error is answered 500. */
const unauthorized = 'Unauthorized';

/** RFC 6750 §2.1; longer than any credential of ours or of an issuer. */
const bearerPattern = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;
const maxLength = 8_192;

type Event = Pick<APIGatewayRequestAuthorizerEvent, 'methodArn' | 'multiValueHeaders' | 'requestContext'>;

/**
 * Verifies the bearer credential of a request: an Allow with the verified caller, a Deny (403) for a signed-in user
 * of no tenant, `Unauthorized` (401) for a credential that is none, counted, and answered the later the more of them came
 * from the same address. When it could not be verified the error is another: a client must not take that for a refusal
 * and throw its credential away.
 * Units: 1 read, and 1 write at an API key's first use of a day; a first sign-in with an invitation 4 reads and 3 writes.
 */
export async function authorize(
  { verify, logger, pace, refused }: Dependencies,
  { methodArn, multiValueHeaders, requestContext }: Event,
): Promise<APIGatewayAuthorizerResult> {
  const bearer = bearerOf(multiValueHeaders);
  const refuse = async (cause?: unknown): Promise<never> => {
    refused(credentialKind(bearer));
    await pace.refused(requestContext.identity.sourceIp);
    throw new Error(unauthorized, { cause });
  };
  if (bearer === undefined) return refuse();
  let caller: Caller;
  try {
    caller = await verify(bearer);
  } catch (error) {
    if (error instanceof Problem && error.code === 'UNAUTHENTICATED') return refuse(error);
    if (error instanceof Problem && error.code === 'NOT_A_MEMBER') {
      return stagePolicy('Deny', methodArn, 'nobody');
    }
    // An error of the verifier never holds the credential; the event does, and is not logged.
    logger.error('the credential could not be verified', { error: error as Error });
    throw new Error('The credential could not be verified', { cause: error });
  }
  return stagePolicy('Allow', methodArn, caller.principal, authorizerContext(caller));
}

/** The text after `Bearer `; undefined unless there is exactly one such header. Names come as the client wrote them. */
function bearerOf(headers: Event['multiValueHeaders']): string | undefined {
  const [header = '', ...more] = Object.entries(headers ?? {})
    .filter(([name]) => name.toLowerCase() === 'authorization')
    .flatMap(([, values = []]) => values);
  return more.length > 0 || header.length > maxLength ? undefined : bearerPattern.exec(header)?.[1];
}
