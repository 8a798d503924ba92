import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import path from 'node:path';
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { Provider } from 'oidc-provider';
import { writePrivateFile } from '../aws/private-file.ts';

/** Where the issuer is mounted on the API's port. */
export const issuerPath = '/oidc';
export const audience = 'cattery-laptop';

export type LocalIssuer = {
  /** As in `iss`. */
  readonly issuer: string;
  readonly listener: RequestListener;
  /** An ID token for the address, as a sign-in gives it, good for `ttlSeconds`. */
  idToken(email: string, ttlSeconds: number): Promise<string>;
};

/**
 * The laptop's OIDC issuer: discovery, JWKS and the authorization code flow with PKCE. Anybody who reaches it may sign
 * in with any address, without a password: it stands for a company's identity provider and protects nothing.
 */
export async function localIssuer(baseUrl: string, directory: string): Promise<LocalIssuer> {
  const issuer = `${baseUrl}${issuerPath}`;
  const jwk = await signingKey(path.join(directory, 'signing-key.json'));
  const key = await importJWK(jwk, 'RS256');
  const provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    cookies: { keys: [randomUUID()] },
    clients: [
      {
        client_id: audience,
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    ttl: {
      IdToken: 3_600,
      AccessToken: 3_600,
      Grant: 86_400,
      Session: 86_400,
      Interaction: 3_600,
      RefreshToken: 86_400,
    },
    findAccount: (_context, id) => ({ accountId: id, claims: () => claimsOf(id) }),
  });
  provider.proxy = false;
  const callback = provider.callback();

  return {
    issuer,
    listener: (request, response) => {
      // As a framework's mount does: the provider derives its own URLs from what was cut off.
      Object.assign(request, { originalUrl: request.url, baseUrl: issuerPath });
      request.url = (request.url ?? '/').slice(issuerPath.length) || '/';
      void callback(request, response);
    },
    idToken: (email, ttlSeconds) =>
      new SignJWT({ ...claimsOf(email) })
        .setProtectedHeader({ alg: 'RS256', kid: jwk.kid ?? '' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(`${ttlSeconds}s`)
        .sign(key),
  };
}

/** The address is the subject, so that a sign-in by browser and a token made by the command line are one user. */
const claimsOf = (address: string) => ({ sub: address, email: address, email_verified: true });

async function signingKey(file: string): Promise<JWK> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as JWK;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk: JWK = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: randomUUID() };
  await writePrivateFile(file, JSON.stringify(jwk));
  return jwk;
}
