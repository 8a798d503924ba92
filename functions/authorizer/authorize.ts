import type { APIGatewayAuthorizerResult, APIGatewayTokenAuthorizerEvent } from 'aws-lambda';
import { authorizerContext } from '../../core/api/authorizer-context.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';
import { stagePolicy } from './policy.ts';

/** The text that makes API Gateway answer 401; any other error is answered 500. */
const unauthorized = 'Unauthorized';

/** RFC 6750 §2.1; longer than any credential of ours or of an issuer. */
const bearerPattern = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;
const maxLength = 8_192;

/**
 * Verifies the bearer credential of a request: an Allow with the verified caller, a Deny (403) for a signed-in user
 * of no tenant, `Unauthorized` (401) for a credential that is none. When it could not be verified the error is
 * another: a client must not take that for a refusal and throw its credential away.
 * Units: 1 read; a first sign-in with an invitation 4 reads and 3 writes.
 */
export async function authorize(
  { verify, logger }: Dependencies,
  { authorizationToken, methodArn }: APIGatewayTokenAuthorizerEvent,
): Promise<APIGatewayAuthorizerResult> {
  const bearer = authorizationToken.length <= maxLength && bearerPattern.exec(authorizationToken)?.[1];
  if (!bearer) throw new Error(unauthorized);
  let caller: Caller;
  try {
    caller = await verify(bearer);
  } catch (error) {
    if (error instanceof Problem && error.code === 'UNAUTHENTICATED') {
      throw new Error(unauthorized, { cause: error });
    }
    if (error instanceof Problem && error.code === 'NOT_A_MEMBER') {
      return stagePolicy('Deny', methodArn, 'nobody');
    }
    // An error of the verifier never holds the credential; the event does, and is not logged.
    logger.error('the credential could not be verified', { error: error as Error });
    throw new Error('The credential could not be verified', { cause: error });
  }
  return stagePolicy('Allow', methodArn, caller.principal, authorizerContext(caller));
}
