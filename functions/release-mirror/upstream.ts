import type { ManifestSource } from './mirror-releases.ts';
import { Refusal } from './refusal.ts';

type Options = {
  readonly fetch?: typeof fetch;
  /** For one file, redirects included, ms. */
  readonly withinMs?: number;
};

/** From raw.githubusercontent.com to a file of a release is one. */
const maxRedirects = 3;

/**
 * Fetches manifests from where the catalogue says upstream has them. Follows redirects only over HTTPS and to GitHub's
 * own hosts: the catalogue's digest protects what we keep, this protects where we go. Reads at most one byte more than
 * the catalogue says, however the answer is compressed. Sends no credential.
 */
export function upstream({ fetch: send = fetch, withinMs = 20_000 }: Options = {}): ManifestSource {
  return async (_version, { url, bytes }) => {
    const signal = AbortSignal.timeout(withinMs);
    try {
      const answer = await get(new URL(url), send, signal);
      if (answer.status === 404) throw new Refusal('MISSING', 'upstream answers 404');
      if (answer.status !== 200) throw new Refusal('STATUS', `upstream answers ${answer.status}`);
      return await bounded(answer, bytes + 1);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      const why = signal.aborted ? `no whole answer within ${withinMs / 1000} s` : causeOf(error);
      throw new Refusal('UNREACHABLE', `upstream did not answer: ${why}`, { cause: error });
    }
  };
}

/** The answer at the end of the redirects, its body unread. */
async function get(first: URL, send: typeof fetch, signal: AbortSignal): Promise<Response> {
  let url = first;
  for (let redirects = 0; ; redirects += 1) {
    if (!ofGitHub(url)) throw new Refusal('REDIRECTED', `it is led to ${url.protocol}//${url.host}`);
    if (redirects > maxRedirects) throw new Refusal('REDIRECTED', 'it is led on without end');
    const answer = await send(url.href, {
      redirect: 'manual',
      signal,
      headers: { 'accept-encoding': 'gzip, identity', 'user-agent': 'cattery-release-mirror' },
    });
    const location = answer.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null) return answer;
    await answer.body?.cancel();
    if (!URL.canParse(location, url.href)) throw new Refusal('REDIRECTED', 'it is led to what is no address');
    url = new URL(location, url.href);
  }
}

const ofGitHub = ({ protocol, hostname, port }: URL): boolean =>
  protocol === 'https:' &&
  port === '' &&
  (hostname === 'github.com' || hostname.endsWith('.githubusercontent.com'));

/** The body, or its first `limit` bytes: the rest is not waited for. */
async function bounded({ body }: Response, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  if (!body) return new Uint8Array();
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    pieces.push(piece);
    length += piece.length;
    // Leaving the loop cancels the stream, and with it the connection.
    if (length >= limit) break;
  }
  return Buffer.concat(pieces).subarray(0, limit);
}

/** `fetch failed` says nothing; its cause has the code of the network. */
function causeOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? String(error);
}
