import { importJWK, SignJWT } from 'jose';
import { address, claimsOf } from './account.ts';
import { findSigningKey } from './signing-key.ts';

/** Where the issuer is mounted on the API's port. */
export const issuerPath = '/oidc';
/** The issuer's one client, and the `aud` of its ID tokens. */
export const audience = 'cattery-laptop';

/** As in `iss`. */
export const issuerOf = (apiUrl: string): string => `${apiUrl}${issuerPath}`;

type IdTokenRequest = {
  /** Of a running stack. */
  readonly apiUrl: string;
  /** Where its issuer keeps the key. */
  readonly directory: string;
  readonly email: string;
  readonly ttlSeconds: number;
};

/** An ID token as a sign-in with that address gives it. Throws when the address is none, or no issuer ran here. */
export async function idToken({ apiUrl, directory, email, ttlSeconds }: IdTokenRequest): Promise<string> {
  const account = address.safeParse(email);
  if (!account.success) throw new Error(`${email} is not an e-mail address.`);
  const jwk = await findSigningKey(directory);
  if (!jwk) throw new Error(`${directory} holds no signing key: the stack never ran there.`);
  return new SignJWT(claimsOf(account.data))
    .setProtectedHeader({ alg: 'RS256', kid: jwk.kid })
    .setIssuer(issuerOf(apiUrl))
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime(`${ttlSeconds}s`)
    .sign(await importJWK(jwk, 'RS256'));
}
