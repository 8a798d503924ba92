import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type Provider } from 'oidc-provider';
import { address } from './account.ts';
import { issuerPath } from './id-token.ts';
import { type Page, signInErrorPage, signInPage } from './sign-in-page.ts';

/** Where the provider sends a browser whose user must say who signs in. */
export const signInPath = (uid: string): string => `${issuerPath}/interaction/${uid}`;

/** Whether a request is for the sign-in page. */
export const isSignIn = (url: string): boolean => url.startsWith(signInPath(''));

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

const maxFormBytes = 4_096;
const expired = 'It has expired, or was begun in another browser.';

/** The sign-in page: GET shows the form, POST signs the address in and leads back to the application. */
export function signIn(
  provider: Provider,
  suggestedAddress: string,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  /** The page to show; undefined when the browser has been led on instead. */
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Page | undefined> {
    const interaction = await interactionOf(provider, request, response);
    if (!interaction) return signInErrorPage(400, expired);
    if (request.method === 'GET' || request.method === 'HEAD')
      return form(interaction, suggested(interaction, suggestedAddress));
    if (request.method !== 'POST') return signInErrorPage(405, 'This page takes GET and POST.');

    const fields = await readForm(request);
    if (!fields) return signInErrorPage(400, 'What was sent is not this form.');
    const typed = fields.get('email') ?? '';
    const account = address.safeParse(typed);
    if (!account.success) return form(interaction, typed, 'This is not an e-mail address.');
    await provider.interactionFinished(request, response, {
      login: { accountId: account.data },
      consent: { grantId: await granted(provider, interaction, account.data) },
    });
    return undefined;
  }

  return async (request, response) => {
    const page = await answer(request, response);
    if (page) send(response, page);
  };
}

/** The sign-in that the browser's cookie and the path name alike; undefined when it is over, or another browser's. */
async function interactionOf(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Interaction | undefined> {
  try {
    const interaction = await provider.interactionDetails(request, response);
    return request.url?.split('?')[0] === signInPath(interaction.uid) ? interaction : undefined;
  } catch (error) {
    if (error instanceof errors.SessionNotFound) return undefined;
    throw error;
  }
}

/** Whoever signed in last in this browser; else whom the application names; else the demo's owner. */
function suggested({ session, params }: Interaction, byDefault: string): string {
  if (session?.accountId) return session.accountId;
  return typeof params.login_hint === 'string' ? params.login_hint : byDefault;
}

function form({ uid, params }: Interaction, typed: string, wrong?: string): Page {
  return signInPage({
    action: signInPath(uid),
    address: typed,
    // The provider has checked it against the client's own.
    returnOrigin: new URL(String(params.redirect_uri)).origin,
    ...(wrong === undefined ? {} : { wrong }),
  });
}

/** Consent is implied: the one client is this stack's own, and gets what it asked for. */
async function granted(provider: Provider, { params }: Interaction, accountId: string): Promise<string> {
  const grant = new provider.Grant({ accountId, clientId: String(params.client_id) });
  grant.addOIDCScope(String(params.scope));
  return grant.save();
}

/** The fields of an HTML form; undefined when the body is none, or too long. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  if (!request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')) return undefined;
  let text = '';
  const chunks = request.setEncoding('utf8').iterator({ destroyOnReturn: false });
  for await (const chunk of chunks as AsyncIterable<string>) {
    text += chunk;
    if (text.length <= maxFormBytes) continue;
    // The connection stays for the answer; what still comes has nowhere to go.
    request.resume();
    return undefined;
  }
  return new URLSearchParams(text);
}

function send(response: ServerResponse, { status, headers, body }: Page): void {
  response.writeHead(status, headers);
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
