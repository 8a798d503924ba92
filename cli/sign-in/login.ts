import { me } from '../../core/credential/registration-token-schema.ts';
import { signInFacts } from '../../core/credential/sign-in-schema.ts';
import { ApiClient, getPublic } from '../api-client.ts';
import { type DeploymentOptions, findDeployment, rememberDeployment } from '../deployment.ts';
import { Failure } from '../failure.ts';
import type { Surroundings } from '../surroundings.ts';
import { Issuer, type Tokens } from './issuer.ts';
import { Loopback } from './loopback.ts';
import { newSession, SessionStore } from './session.ts';

const timeoutMs = 5 * 60_000;

export type LoginOptions = DeploymentOptions & {
  /** False: the address is printed only. */
  readonly browser: boolean;
};

/** Signs in by the browser. Nothing is stored unless the API takes the new ID token. */
export async function login(surroundings: Surroundings, options: LoginOptions): Promise<void> {
  const deployment = await findDeployment(surroundings, options);
  const { apiUrl } = deployment;
  const facts = await getPublic(signInFacts, apiUrl, '/v1/sign-in');
  const tokens = await byBrowser(surroundings, await Issuer.discover(facts), facts.scopes, options.browser);
  const who = await new ApiClient(apiUrl, () => Promise.resolve(tokens.idToken))
    .get(me, '/v1/me')
    .catch((error: unknown) => {
      if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
      const name = tokens.email ?? tokens.subject;
      throw new Failure('refused', `${error.message} Ask an owner of the tenant to invite ${name}.`);
    });
  const session = newSession({ apiUrl, ...facts }, tokens, surroundings.now());
  await rememberDeployment(surroundings, deployment);
  await new SessionStore(surroundings).write(session);
  surroundings.err(`Signed in as ${tokens.email ?? tokens.subject}, tenant ${who.tenantId}.\n`);
  if (tokens.refreshToken === undefined) {
    const until = new Date(session.expiresAt).toISOString();
    surroundings.err(`The issuer gave nothing to renew this with: it lasts until ${until}.\n`);
  }
}

async function byBrowser(
  { loopbackPorts, openBrowser, err }: Surroundings,
  issuer: Issuer,
  scopes: readonly string[],
  browser: boolean,
): Promise<Tokens> {
  const loopback = await Loopback.listen(loopbackPorts);
  try {
    const { url, state, redeem } = await issuer.authorization(loopback.redirectUri, scopes);
    const returning = loopback.returned(state, timeoutMs);
    err(`Sign in in a browser on this machine:\n\n  ${url.href}\n\n`);
    if (browser)
      openBrowser(url.href).catch(() => err('No browser could be opened: open that address yourself.\n'));
    const { url: back, show } = await returning;
    try {
      const tokens = await redeem(back);
      show('signed in');
      return tokens;
    } catch (error) {
      show('failed');
      throw error;
    }
  } finally {
    loopback.close();
  }
}

/** Ends the sign-in: at the issuer, where that offers a way, and here in any case. */
export async function logout(surroundings: Surroundings, options: DeploymentOptions): Promise<void> {
  // For the CA that goes with it; whatever is wrong with it, the sign-in is forgotten.
  await findDeployment(surroundings, options).catch(() => undefined);
  const session = await new SessionStore(surroundings).remove();
  if (!session) {
    surroundings.err('You were not signed in.\n');
    return;
  }
  const until = new Date(session.expiresAt).toISOString();
  const remains = `Its last ID token, which was deleted here, is good until ${until}.`;
  if (session.refreshToken === undefined) {
    surroundings.err(`Signed out. ${remains}\n`);
    return;
  }
  try {
    const revoked = await (await Issuer.discover(session)).revoke(session.refreshToken);
    surroundings.err(
      `Signed out${revoked ? '' : '; the issuer offers no way to revoke the refresh token'}. ${remains}\n`,
    );
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(
      'unreachable',
      `The sign-in is forgotten here, but not revoked at the issuer. ${why}`,
      error,
    );
  }
}
