import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { type Configuration, Provider } from 'oidc-provider';
import { claimsOf } from './account.ts';
import { grantStore } from './grant-store.ts';
import { audience, issuerOf, issuerPath } from './id-token.ts';
import { isSignIn, signIn, signInPath } from './sign-in.ts';
import { signInErrorPage } from './sign-in-page.ts';
import { ensureSigningKey } from './signing-key.ts';

const daySeconds = 86_400;

type Options = {
  readonly apiUrl: string;
  /** Where the signing key is kept. */
  readonly directory: string;
  /** What the sign-in page suggests. */
  readonly suggestedAddress: string;
  /** How long an ID token is good for, in seconds. Default: an hour. */
  readonly idTokenSeconds?: number;
  /** Told of every failure that is the issuer's own. */
  readonly onError: (error: Error) => void;
};

export type LocalIssuer = {
  /** As in `iss`. */
  readonly issuer: string;
  /** Answers what begins with `issuerPath`. */
  readonly listener: RequestListener;
};

/**
 * The laptop's OIDC issuer: discovery, JWKS and the authorization code flow with PKCE for an application on loopback.
 * Anybody who reaches it may sign in with any address, without a password: it stands for a company's identity provider
 * and protects nothing.
 */
export async function localIssuer({
  apiUrl,
  directory,
  suggestedAddress,
  idTokenSeconds = 3_600,
  onError,
}: Options): Promise<LocalIssuer> {
  const issuer = issuerOf(apiUrl);
  const provider = new Provider(issuer, {
    ...configuration,
    ttl: { ...configuration.ttl, IdToken: idTokenSeconds },
    jwks: { keys: [await ensureSigningKey(directory)] },
    cookies: {
      keys: [randomUUID()],
      long: { path: issuerPath, httpOnly: true, sameSite: 'lax' },
      short: { httpOnly: true, sameSite: 'lax' },
    },
    adapter: grantStore(),
  });
  provider.on('server_error', (_context, error) => onError(error));
  const protocol = provider.callback();
  const answerSignIn = signIn(provider, suggestedAddress);

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { url = '/' } = request;
    if (isSignIn(url)) return answerSignIn(request, response);
    // As a framework's mount does: the provider derives its own URLs from what was cut off.
    Object.assign(request, { originalUrl: url, baseUrl: issuerPath });
    request.url = url.slice(issuerPath.length) || '/';
    await protocol(request, response);
  };

  return {
    issuer,
    listener: (request, response) => {
      answer(request, response).catch((error: unknown) => {
        onError(error instanceof Error ? error : new Error(String(error)));
        const { status, headers, body } = signInErrorPage(500, 'The issuer failed.');
        if (response.headersSent) response.destroy();
        else response.writeHead(status, headers).end(body);
      });
    },
  };
}

const configuration = {
  clients: [
    {
      client_id: audience,
      token_endpoint_auth_method: 'none',
      // On loopback any port will do (RFC 8252 §7.3).
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
    },
  ],
  responseTypes: ['code'],
  scopes: ['openid', 'email'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  // An ID token is the credential here, so it says by itself whose address it is.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    resourceIndicators: { enabled: false },
    // A command line's `logout` ends what it holds (RFC 7009).
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: false },
  },
  clientBasedCORS: () => false,
  issueRefreshToken: (_context, client) => Promise.resolve(client.grantTypeAllowed('refresh_token')),
  ttl: {
    AccessToken: 3_600,
    AuthorizationCode: 60,
    Grant: daySeconds,
    Interaction: 3_600,
    RefreshToken: daySeconds,
    Session: daySeconds,
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => claimsOf(id) }),
  interactions: { url: (_context, { uid }) => signInPath(uid) },
  renderError(context, { error, error_description: description }) {
    const { headers, body } = signInErrorPage(context.status, description ?? error);
    context.set(headers as Record<string, string>);
    context.body = body;
  },
} satisfies Configuration;
