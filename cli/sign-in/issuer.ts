import type * as oidc from 'openid-client';
import type { SignInFacts } from '../../core/credential/sign-in-schema.ts';
import { checkedUrl } from '../deployment.ts';
import { Failure, printable, unreachable } from '../failure.ts';

const timeoutSeconds = 20;

/** What a session remembers of a token answer. */
export type Tokens = {
  readonly idToken: string;
  /** Absent when the issuer gave none. */
  readonly refreshToken?: string;
  readonly subject: string;
  readonly email?: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
};

/** Where the user is sent, and what is checked when they come back. */
export type AuthorizationRequest = {
  readonly url: URL;
  readonly state: string;
  readonly redeem: (back: URL) => Promise<Tokens>;
};

/** The OIDC issuer as a public client sees it. Its methods throw Failures; what `openid-client` checks is in docs/cli.md. */
export class Issuer {
  readonly #name: string;
  readonly #library: typeof oidc;
  readonly #configuration: oidc.Configuration;

  private constructor(name: string, library: typeof oidc, configuration: oidc.Configuration) {
    this.#name = name;
    this.#library = library;
    this.#configuration = configuration;
  }

  static async discover({ issuer, clientId }: Pick<SignInFacts, 'issuer' | 'clientId'>): Promise<Issuer> {
    const { protocol } = new URL(checkedUrl(issuer, 'the issuer'));
    // Loaded when it is needed: `cattery token` mostly answers from its file.
    const library = await import('openid-client');
    try {
      const configuration = await library.discovery(new URL(issuer), clientId, undefined, library.None(), {
        timeout: timeoutSeconds,
        // eslint-disable-next-line @typescript-eslint/no-deprecated -- only loopback gets here over plain HTTP
        execute: protocol === 'http:' ? [library.allowInsecureRequests] : [],
      });
      return new Issuer(issuer, library, configuration);
    } catch (error) {
      throw failureAt(issuer, error);
    }
  }

  /** The authorization code flow with PKCE (RFC 7636, S256), state and nonce. */
  async authorization(redirectUri: string, scopes: readonly string[]): Promise<AuthorizationRequest> {
    const library = this.#library;
    const configuration = this.#configuration;
    const server = configuration.serverMetadata();
    if (!server.authorization_endpoint) {
      throw new Failure('failed', `The issuer ${this.#name} has no page to sign in on.`);
    }
    const verifier = library.randomPKCECodeVerifier();
    const [state, nonce] = [library.randomState(), library.randomNonce()];
    // OIDC Core §11: the scope by which refresh tokens are asked for. Issuers without it give them anyway, or refuse it.
    const offline = server.scopes_supported?.includes('offline_access') ? ['offline_access'] : [];
    const url = library.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: [...new Set([...scopes, ...offline])].join(' '),
      code_challenge: await library.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const redeem = (back: URL): Promise<Tokens> =>
      this.#tokens(() =>
        library.authorizationCodeGrant(configuration, back, {
          pkceCodeVerifier: verifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        }),
      );
    return { url, state, redeem };
  }

  /** Throws `refused` when the issuer no longer takes the token. */
  refresh(refreshToken: string): Promise<Tokens> {
    return this.#tokens(() => this.#library.refreshTokenGrant(this.#configuration, refreshToken));
  }

  /** Ends a refresh token and what came of it (RFC 7009); false when the issuer offers no way. */
  async revoke(refreshToken: string): Promise<boolean> {
    if (!this.#configuration.serverMetadata().revocation_endpoint) return false;
    try {
      await this.#library.tokenRevocation(this.#configuration, refreshToken, {
        token_type_hint: 'refresh_token',
      });
      return true;
    } catch (error) {
      throw failureAt(this.#name, error);
    }
  }

  async #tokens(
    grant: () => Promise<oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers>,
  ): Promise<Tokens> {
    const answer = await grant().catch((error: unknown) => {
      throw failureAt(this.#name, error);
    });
    const claims = answer.claims();
    if (!claims || !answer.id_token) {
      throw new Failure('refused', `The issuer ${this.#name} gave no ID token.`);
    }
    return {
      idToken: answer.id_token,
      ...(answer.refresh_token ? { refreshToken: answer.refresh_token } : {}),
      subject: claims.sub,
      ...(typeof claims.email === 'string' ? { email: claims.email } : {}),
      expiresAt: claims.exp * 1000,
    };
  }
}

/**
 * What went wrong at the issuer, told by the error's members: an answer of RFC 6749 §5.2 or §4.1.2.1 has `error`; one
 * that is none, or is not to be believed, an `OAUTH_` code; what did not get through has neither.
 */
function failureAt(issuer: string, error: unknown): Failure {
  const who = `The issuer ${issuer}`;
  const { error: refusal, error_description: description, code, message, cause } = membersOf(error);
  const { status = membersOf(error).status, message: deeper = message } = membersOf(cause);
  if (typeof status === 'number' && (status >= 500 || status === 429)) {
    return new Failure('unreachable', `${who} fails (HTTP ${status}).`, error);
  }
  if (typeof refusal === 'string') {
    const detail = typeof description === 'string' ? `: ${description}` : '';
    return new Failure('refused', printable(`${who} refused (${refusal}${detail}).`), error);
  }
  if (typeof code === 'string' && code.startsWith('OAUTH_') && code !== 'OAUTH_TIMEOUT') {
    return new Failure(
      'failed',
      printable(`${who} gives answers that cannot be taken (${String(deeper)}).`),
      error,
    );
  }
  return unreachable(who, error);
}

const membersOf = (value: unknown): Partial<Record<string, unknown>> => value ?? {};
