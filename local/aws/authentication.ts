import type { IncomingMessage } from 'node:http';
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AwsCall } from './aws-call.ts';
import { AwsError } from './aws-error.ts';
import type { Sessions } from './sessions.ts';
import { presignedUntil, readSignature, sha256, signatureHolds } from './signature.ts';

/** What each protocol calls the ways in which a signature can be no good. The JSON services answer 400, S3 and STS 403. */
type Refusals = { missing: AwsError; unknown: AwsError; expired: AwsError; mismatch: AwsError };

const mismatchText =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.';

function refusals(service: string): Refusals {
  if (service === 's3') {
    return {
      missing: new AwsError('AccessDenied', 'Access Denied', 403),
      unknown: new AwsError(
        'InvalidAccessKeyId',
        'The AWS Access Key Id you provided does not exist in our records.',
        403,
      ),
      expired: new AwsError('ExpiredToken', 'The provided token has expired.', 400),
      mismatch: new AwsError('SignatureDoesNotMatch', mismatchText, 403),
    };
  }
  if (service === 'sts') {
    return {
      missing: new AwsError('MissingAuthenticationToken', 'Request is missing Authentication Token', 403),
      unknown: new AwsError(
        'InvalidClientTokenId',
        'The security token included in the request is invalid.',
        403,
      ),
      expired: new AwsError('ExpiredToken', 'The security token included in the request is expired', 403),
      mismatch: new AwsError('SignatureDoesNotMatch', mismatchText, 403),
    };
  }
  return {
    missing: new AwsError('MissingAuthenticationTokenException', 'Request is missing Authentication Token'),
    unknown: new AwsError(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    ),
    expired: new AwsError('ExpiredTokenException', 'The security token included in the request is expired'),
    mismatch: new AwsError('InvalidSignatureException', mismatchText),
  };
}

/**
 * Finds out who sends a request: known access key, matching session token, not expired, and a signature that holds over
 * method, path, query, signed headers and body. Throws an AwsError in the service's words. `onService` hears the service's
 * name before anything is checked, so that whatever follows is answered in that service's protocol.
 */
export async function authenticate(options: {
  request: IncomingMessage;
  rawPath: string;
  rawQuery: string;
  sessions: Sessions;
  now: () => number;
  readBody: () => Promise<Buffer>;
  onService: (service: string) => void;
}): Promise<Pick<AwsCall, 'service' | 'caller' | 'body' | 'payloadHash'>> {
  const { request, rawPath, rawQuery, sessions, now } = options;
  const signed = readSignature(request, new URLSearchParams(rawQuery));
  const service = signed?.service ?? serviceOfUnsigned(request);
  options.onService(service);
  const refused = refusals(service);
  if (!signed) throw refused.missing;

  const found = sessions.find(signed.accessKeyId);
  if (!found || !sameText(signed.sessionToken ?? '', found.credentials.sessionToken)) throw refused.unknown;

  const declared = request.headers['x-amz-content-sha256'];
  const body = service === 's3' ? undefined : await options.readBody();
  const payloadHash = body
    ? sha256(body)
    : typeof declared === 'string' && !signed.presigned
      ? declared
      : 'UNSIGNED-PAYLOAD';
  if (!signatureHolds(signed, found.credentials.secretAccessKey, request, rawPath, rawQuery, payloadHash))
    throw refused.mismatch;

  const until = presignedUntil(signed);
  if (until !== undefined && now() > until) throw new AwsError('AccessDenied', 'Request has expired', 403);
  if (found.session.expiresAt !== undefined && now() >= found.session.expiresAt) throw refused.expired;
  return { service, caller: found.session, body, payloadHash };
}

/** Only to answer an unsigned request in a protocol that its sender can read. */
function serviceOfUnsigned(request: IncomingMessage): string {
  const target = request.headers['x-amz-target'];
  if (typeof target === 'string') {
    if (target.startsWith('DynamoDB_')) return 'dynamodb';
    if (target.startsWith('TrentService.')) return 'kms';
    if (target.startsWith('secretsmanager.')) return 'secretsmanager';
  }
  return request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ? 'sts' : 's3';
}

/** Compares secrets without telling by its duration where they differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
