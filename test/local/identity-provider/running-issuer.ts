import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { audience } from '../../../local/identity-provider/id-token.ts';
import { localIssuer } from '../../../local/identity-provider/issuer.ts';
import { localAuthority } from '../../../local/tls/authority.ts';
import type { Browser } from './browser.ts';

export const redirectUri = 'http://127.0.0.1:45678/callback';

export type RunningIssuer = {
  readonly apiUrl: string;
  readonly issuer: string;
  readonly directory: string;
  /** What verifies its port, PEM. */
  readonly ca: string;
  readonly errors: readonly Error[];
  /** The discovery document. */
  readonly discovery: () => Promise<Record<string, string>>;
  close(): Promise<void>;
};

/** The issuer on the HTTPS port of an API, whose CA this process trusts until `close`. */
export async function startIssuer({ idTokenSeconds = 3_600 } = {}): Promise<RunningIssuer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'issuer-'));
  const authority = await localAuthority(directory);
  const trusted = getCACertificates('default');
  setDefaultCACertificates([...trusted, authority.certificate]);
  const { certificate: cert, key } = await authority.issue(['127.0.0.1', 'localhost']);
  const server = createServer({ cert, key });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const apiUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const errors: Error[] = [];
  const { issuer, listener } = await localIssuer({
    apiUrl,
    directory,
    suggestedAddress: 'owner@demo.example',
    idTokenSeconds,
    onError: (error) => errors.push(error),
  });
  server.on('request', listener);
  return {
    apiUrl,
    issuer,
    directory,
    ca: authority.certificate,
    errors,
    async discovery() {
      const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
      return (await answer.json()) as Record<string, string>;
    },
    async close() {
      setDefaultCACertificates(trusted);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}

/** What an application keeps between its two requests (RFC 7636). */
export const newVerifier = (): string => randomBytes(32).toString('base64url');

/** The URL that an application opens in the browser. */
export async function authorizationUrl(
  { discovery }: RunningIssuer,
  verifier: string,
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { authorization_endpoint: endpoint = '' } = await discovery();
  const parameters = new URLSearchParams({
    client_id: audience,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid email',
    state: 'the-state',
    nonce: 'the-nonce',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  });
  return `${endpoint}?${parameters.toString()}`;
}

/** Opens the URL and gives the address of the sign-in page. */
export async function openSignIn(page: Browser, { issuer }: RunningIssuer, url: string): Promise<string> {
  return new URL((await page.get(url)).headers.get('location') ?? '', issuer).href;
}

/** Signs in, and gives where the browser is led in the end. */
export async function signInAs(
  page: Browser,
  running: RunningIssuer,
  url: string,
  email: string,
): Promise<URL> {
  const form = await openSignIn(page, running, url);
  const resume = (await page.post(form, { email })).headers.get('location') ?? '';
  return new URL((await page.get(resume)).headers.get('location') ?? '');
}

/** Redeems a code or a refresh token. */
export async function redeem(
  { discovery }: RunningIssuer,
  fields: Readonly<Record<string, string>>,
): Promise<{ status: number; body: Record<string, string> }> {
  const { token_endpoint: endpoint = '' } = await discovery();
  const answer = await fetch(endpoint, {
    method: 'POST',
    body: new URLSearchParams({ client_id: audience, ...fields }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, string> };
}
