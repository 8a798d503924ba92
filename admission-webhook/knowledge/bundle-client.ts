import * as z from 'zod';

/** The control plane did not give what was asked for. */
export class BundleUnavailable extends Error {
  override readonly name = 'BundleUnavailable';
  /** 0: there was no answer. */
  readonly status: number;
  /** How long to wait at least, if it says so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    status: number,
    message: string,
    { retryAfterMs, cause }: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export type BundleQuestion = {
  readonly since?: string | undefined;
  readonly cursor?: string | undefined;
  readonly etag?: string | undefined;
};
export type BundleAnswer = 'unchanged' | { readonly jws: string; readonly etag: string | undefined };

/** Asks for one part of the bundle. Rejects with BundleUnavailable. */
export type AskForBundle = (question: BundleQuestion, signal: AbortSignal) => Promise<BundleAnswer>;

/** A part has at most 3 MB, a third more in base64. */
const maxPartBytes = 6 * 1_048_576;
const patienceMs = 30_000;
const problem = z.object({ code: z.string().regex(/^[A-Z_]{1,64}$/) });

type Options = {
  /** Base URL of the API. */
  readonly apiUrl: string;
  /** An API key with the scope `admission:review`; asked for each time, so that it can be replaced. */
  readonly readKey: () => Promise<string>;
};

/** `GET /v1/admission-bundle` of the control plane. */
export function bundleClient({ apiUrl, readKey }: Options): AskForBundle {
  return async ({ since, cursor, etag }, signal) => {
    const url = new URL(`${apiUrl.replace(/\/+$/, '')}/v1/admission-bundle`);
    if (since !== undefined) url.searchParams.set('since', since);
    if (cursor !== undefined) url.searchParams.set('cursor', cursor);
    const key = await readKey();
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(url, {
        // The key is for this host and no other.
        redirect: 'error',
        headers: {
          Authorization: `Bearer ${key}`,
          Accept: 'application/jose, application/problem+json',
          'User-Agent': 'cattery-admission-webhook',
          ...(etag === undefined ? {} : { 'If-None-Match': etag }),
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
      });
      text = await bounded(answer);
    } catch (error) {
      const why = error instanceof Error ? causeOf(error) : String(error);
      throw new BundleUnavailable(0, `the control plane does not answer: ${why}`, { cause: error });
    }
    if (answer.status === 304) return 'unchanged';
    if (answer.status === 200) return { jws: text, etag: answer.headers.get('etag') ?? undefined };
    throw new BundleUnavailable(
      answer.status,
      `the control plane answered ${answer.status} ${codeOf(text)}`.trim(),
      { retryAfterMs: retryAfter(answer.headers.get('retry-after')) },
    );
  };
}

/** fetch says "fetch failed", and why in its cause. */
const causeOf = (error: Error): string =>
  error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;

async function bounded(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const body: AsyncIterable<Uint8Array> | undefined = answer.body ?? undefined;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > maxPartBytes) throw new Error(`the answer has more than ${maxPartBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function codeOf(text: string): string {
  try {
    return problem.parse(JSON.parse(text)).code;
  } catch {
    return '';
  }
}

function retryAfter(header: string | null): number | undefined {
  return header !== null && /^\d{1,5}$/.test(header) ? Number(header) * 1_000 : undefined;
}
