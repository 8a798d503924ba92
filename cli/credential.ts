import { ApiClient } from './api-client.ts';
import { type Deployment, type DeploymentOptions, findDeployment } from './deployment.ts';
import { Failure } from './failure.ts';
import { SessionStore } from './sign-in/session.ts';
import type { Surroundings } from './surroundings.ts';

/** What is shown as a bearer token. */
export type Credential = {
  readonly token: string;
  /** Epoch milliseconds from which another is to be asked for; undefined: an API key, whose end only the API knows. */
  readonly until?: number;
};

/** The API key of CATTERY_API_KEY, else the signed-in user's ID token, refreshed when due. Throws `not signed in`. */
export async function credentialFor(surroundings: Surroundings, { apiUrl }: Deployment): Promise<Credential> {
  const key = keyOf(surroundings);
  if (key) return { token: key };
  const { idToken, refreshAt, expiresAt } = await new SessionStore(surroundings).fresh(apiUrl);
  return { token: idToken, until: surroundings.now() < refreshAt ? refreshAt : expiresAt };
}

/** The key of CATTERY_API_KEY, if any. What no header can hold is refused here: an error of `fetch` would quote it. */
function keyOf({ env }: Surroundings): string | undefined {
  const key = env.CATTERY_API_KEY?.trim();
  if (key && !/^[\x21-\x7e]+$/.test(key))
    throw new Failure('usage', 'What CATTERY_API_KEY holds is no API key.');
  return key || undefined;
}

/** The deployment that is meant, and its API with this user's credential. */
export async function openApi(
  surroundings: Surroundings,
  options: DeploymentOptions,
): Promise<{ deployment: Deployment; api: ApiClient }> {
  const deployment = await findDeployment(surroundings, options);
  const token = async () => (await credentialFor(surroundings, deployment)).token;
  const remedy = keyOf(surroundings) ? 'The key in CATTERY_API_KEY is none, or no longer one.' : undefined;
  const api = new ApiClient(deployment.apiUrl, token, remedy);
  return { deployment, api };
}

/** What kubectl reads from a plugin (client.authentication.k8s.io/v1); it asks again from `expirationTimestamp` on. */
export async function execCredential(
  surroundings: Surroundings,
  options: DeploymentOptions,
): Promise<object> {
  const { token, until } = await credentialFor(surroundings, await findDeployment(surroundings, options));
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: {
      token,
      // RFC 3339 in whole seconds, rounded down.
      ...(until === undefined
        ? {}
        : { expirationTimestamp: new Date(until).toISOString().replace(/\.\d+Z$/, 'Z') }),
    },
  };
}
