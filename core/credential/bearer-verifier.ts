import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { Problem } from '../problem/problem.ts';
import type { Caller } from './caller.ts';
import type { CredentialRecord, IdentityRepository, Membership } from './identity-repository.ts';
import { parseScopes, roleScopes } from './scope.ts';
import { parseToken, type Token } from './token.ts';

/** Turns the text after `Bearer ` into the verified caller, or throws UNAUTHENTICATED, NOT_A_MEMBER or UNAVAILABLE. */
export type BearerVerifier = (bearer: string) => Promise<Caller>;

type Options = {
  readonly identities: IdentityRepository;
  /** OIDC issuer, exactly as in `iss`. */
  readonly issuer: string;
  readonly audience: string;
  /** Bind a first sign-in to its invitation; only the authorizer may write that. */
  readonly bindInvitations: boolean;
  /** Told of each credential of ours that was accepted; must not reject. The caller's answer waits for what it returns. */
  readonly used?: (record: CredentialRecord) => Promise<void> | void;
  readonly keys?: JWTVerifyGetKey;
  /** Epoch milliseconds. */
  readonly now?: () => number;
};

/** Asymmetric algorithms only: a shared secret or `none` must never verify. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

/**
 * The one verifier of every kind of credential, used by the authorizer and by the access side.
 * Ours are told apart by prefix and looked up by hash; everything else must be a JWT of the configured issuer.
 */
export function bearerVerifier(options: Options): BearerVerifier {
  const { issuer, audience, now = Date.now } = options;
  const keys = options.keys ?? discoveredKeys(issuer);

  return async (bearer) => {
    const token = parseToken(bearer);
    if (token) {
      const record = await validRecord(token, options.identities, now());
      await options.used?.(record);
      return callerOfRecord(record);
    }
    if (/^(?:cak|crt|ccr)_/.test(bearer)) throw new Problem('UNAUTHENTICATED');
    const claims = await verifyJwt(bearer, keys, { issuer, audience, currentDate: new Date(now()) });
    return callerOfUser(claims, options, now());
  };
}

/** The caller that a token of ours stands for. Units: 1 strongly consistent read. Throws UNAUTHENTICATED. */
export async function callerOfToken(
  token: Pick<Token, 'kind' | 'hash'>,
  identities: Pick<IdentityRepository, 'findCredential'>,
  now: number,
): Promise<Caller> {
  return callerOfRecord(await validRecord(token, identities, now));
}

async function validRecord(
  token: Pick<Token, 'kind' | 'hash'>,
  identities: Pick<IdentityRepository, 'findCredential'>,
  now: number,
): Promise<CredentialRecord> {
  const record = await identities.findCredential(token.hash);
  if (record?.kind !== token.kind) throw new Problem('UNAUTHENTICATED');
  if (record.expiresAt !== undefined && record.expiresAt * 1000 <= now) throw new Problem('UNAUTHENTICATED');
  return record;
}

const callerOfRecord = (record: CredentialRecord): Caller => ({
  kind: record.kind,
  tenantId: record.tenantId,
  principal: record.clusterId ? `cluster:${record.clusterId}` : `${record.kind}:${record.tokenId}`,
  scopes: parseScopes(record.scopes),
  ...(record.clusterId ? { clusterId: record.clusterId } : {}),
  credentialHash: record.hash,
});

/** The caller that a member of a tenant is. */
export const callerOfMembership = (
  subject: string,
  { tenantId, roles }: Pick<Membership, 'tenantId' | 'roles'>,
): Caller => ({
  kind: 'user',
  tenantId,
  principal: `user:${subject}`,
  scopes: new Set(roles.flatMap((role) => roleScopes[role])),
  roles,
});

async function callerOfUser(
  claims: JWTPayload,
  { identities, issuer, bindInvitations }: Options,
  now: number,
): Promise<Caller> {
  const subject = claims.sub;
  if (!subject) throw new Problem('UNAUTHENTICATED');
  const membership =
    (await identities.findMembership(issuer, subject)) ??
    (bindInvitations ? await bind(claims, subject) : undefined);
  if (!membership) throw new Problem('NOT_A_MEMBER');
  return callerOfMembership(subject, membership);

  async function bind(payload: JWTPayload, sub: string): Promise<Membership | undefined> {
    // Cognito states it as a boolean, some issuers as the text "true".
    const verified = payload.email_verified === true || payload.email_verified === 'true';
    if (!verified || typeof payload.email !== 'string') return undefined;
    return identities.bindInvitation({ issuer, subject: sub, email: payload.email }, now);
  }
}

async function verifyJwt(
  jwt: string,
  keys: JWTVerifyGetKey,
  expected: { issuer: string; audience: string; currentDate: Date },
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(jwt, keys, {
      ...expected,
      algorithms,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: 5,
    });
    // Cognito's access tokens carry no `aud`; its ID tokens say so in `token_use`. Another use than `id` is refused.
    if (payload.token_use !== undefined && payload.token_use !== 'id') throw new Problem('UNAUTHENTICATED');
    return payload;
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (error instanceof errors.JOSEError && !unreachable(error)) {
      throw new Problem('UNAUTHENTICATED', undefined, { cause: error });
    }
    throw new Problem('UNAVAILABLE', 'The identity provider does not answer.', { cause: error });
  }
}

/** The issuer's key set could not be fetched: that says nothing about the token. */
const unreachable = (error: errors.JOSEError): boolean =>
  error.code === 'ERR_JWKS_TIMEOUT' || error.code === 'ERR_JOSE_GENERIC';

/** The keys behind the issuer's discovery document (OIDC Discovery 1.0 §4), looked up once and again after a failure. */
function discoveredKeys(issuer: string): JWTVerifyGetKey {
  let found: Promise<JWTVerifyGetKey> | undefined;
  return async (header, token) => {
    found ??= discover(issuer);
    try {
      return await (
        await found
      )(header, token);
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) found = undefined;
      throw error;
    }
  };
}

async function discover(issuer: string): Promise<JWTVerifyGetKey> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, { signal: AbortSignal.timeout(3_000), redirect: 'error' });
  if (!response.ok) throw new Error(`discovery answered ${response.status}`);
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
  if (document.issuer !== issuer || typeof document.jwks_uri !== 'string')
    throw new Error('discovery names another issuer');
  return createRemoteJWKSet(new URL(document.jwks_uri), { timeoutDuration: 3_000 });
}
