import * as z from 'zod';
import { Failure, type FailureKind, printable, signInAgain, unreachable } from './failure.ts';

const timeoutMs = 30_000;
const pageSize = 200;

type Call = {
  readonly method?: string;
  /** JSON, or with `type` text of that media type. */
  readonly body?: unknown;
  readonly type?: string;
};

/** The problems that this needs to read (RFC 9457); other answers are told by their status. */
const problem = z.object({
  title: z.string().optional(),
  detail: z.string().optional(),
  code: z.string().optional(),
  requestId: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** The API of one deployment. Every method throws a Failure in the words of the API's own problem. */
export class ApiClient {
  readonly #url: string;
  readonly #token: () => Promise<string>;
  readonly #remedy: string;

  /** `token`: the bearer credential of each request. `remedy`: what to do when it is not taken. */
  constructor(url: string, token: () => Promise<string>, remedy = signInAgain) {
    this.#url = url;
    this.#token = token;
    this.#remedy = remedy;
  }

  async get<Schema extends z.ZodType>(schema: Schema, path: string): Promise<z.infer<Schema>> {
    return this.#parse(schema, await this.#send(path));
  }

  async text(path: string): Promise<string> {
    return (await this.#send(path)).text();
  }

  /** One page of what is no list of items, and the cursor of the next, out of the address that Link (RFC 8288) names. */
  async page(path: string): Promise<{ readonly text: string; readonly cursor?: string }> {
    const response = await this.#send(path);
    const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(response.headers.get('link') ?? '') ?? [];
    // Of the address only this is taken: a credential follows nobody to another place.
    const cursor =
      target === undefined ? undefined : new URL(target, `${this.#url}${path}`).searchParams.get('cursor');
    return { text: await response.text(), ...(cursor ? { cursor } : {}) };
  }

  async post<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    body: unknown,
  ): Promise<z.infer<Schema>> {
    return this.#parse(schema, await this.#send(path, { method: 'POST', body }));
  }

  async put<Schema extends z.ZodType>(schema: Schema, path: string, body: unknown): Promise<z.infer<Schema>> {
    return this.#parse(schema, await this.#send(path, { method: 'PUT', body }));
  }

  /** Posts a text of another media type than JSON. */
  async postText<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    { text, type }: { readonly text: string; readonly type: string },
  ): Promise<z.infer<Schema>> {
    return this.#parse(schema, await this.#send(path, { method: 'POST', body: text, type }));
  }

  async delete(path: string): Promise<void> {
    await (await this.#send(path, { method: 'DELETE' })).body?.cancel();
  }

  /** Everything in a list, page by page; `filter`: further members of the query. */
  async list<Schema extends z.ZodType>(
    item: Schema,
    path: string,
    filter: Readonly<Record<string, string>> = {},
  ): Promise<z.infer<Schema>[]> {
    const schema = z.object({ items: z.array(item), nextCursor: z.string().optional() });
    const items: z.infer<Schema>[] = [];
    let cursor: string | undefined;
    do {
      const query = new URLSearchParams({
        ...filter,
        limit: String(pageSize),
        ...(cursor ? { cursor } : {}),
      });
      const page = await this.get(schema, `${path}?${query.toString()}`);
      items.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor);
    return items;
  }

  async #send(path: string, call: Call = {}): Promise<Response> {
    return request(this.#url, path, { ...call, token: await this.#token(), remedy: this.#remedy });
  }

  #parse<Schema extends z.ZodType>(schema: Schema, response: Response): Promise<z.infer<Schema>> {
    return parsed(schema, response, this.#url);
  }
}

/** What the API tells without a credential. */
export async function getPublic<Schema extends z.ZodType>(
  schema: Schema,
  apiUrl: string,
  path: string,
): Promise<z.infer<Schema>> {
  return parsed(schema, await request(apiUrl, path, {}), apiUrl);
}

async function request(
  apiUrl: string,
  path: string,
  call: Call & { token?: string; remedy?: string },
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${apiUrl}${path}`, {
      method: call.method ?? 'GET',
      // A credential follows nobody to another place.
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: 'application/json, application/yaml;q=0.9, */*;q=0.1',
        ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
        ...(call.body === undefined ? {} : { 'content-type': call.type ?? 'application/json' }),
      },
      ...(call.body === undefined ? {} : { body: bodyText(call) }),
    });
  } catch (error) {
    throw unreachable(apiUrl, error);
  }
  if (!response.ok) throw await failureOf(response, call.remedy ?? signInAgain);
  return response;
}

const bodyText = ({ body, type }: Call): string =>
  type !== undefined && typeof body === 'string' ? body : JSON.stringify(body);

async function parsed<Schema extends z.ZodType>(
  schema: Schema,
  response: Response,
  apiUrl: string,
): Promise<z.infer<Schema>> {
  try {
    return schema.parse(await response.json());
  } catch (error) {
    throw new Failure('failed', `What ${apiUrl} answers is not Cattery's API, or of another version.`, error);
  }
}

/** One sentence, then the code and the ID that its operator is asked with. */
async function failureOf(response: Response, remedy: string): Promise<Failure> {
  const { status } = response;
  const body = problem.safeParse(await response.json().catch(() => undefined));
  const { title, detail, code, requestId, errors = [] } = body.data ?? {};
  const what = detail ?? title ?? `The API answered ${status}.`;
  const sentence = [
    /[.!?]$/.test(what) ? what : `${what}.`,
    ...errors.map(({ path, message }) => `${path}: ${message}.`),
  ];
  const marks = [code ?? `HTTP ${status}`, ...(requestId ? [`request ${requestId}`] : [])];
  const message = printable(`${sentence.join(' ')} [${marks.join(', ')}]`);
  return new Failure(kindOf(status), status === 401 ? `${message} ${remedy}` : message);
}

function kindOf(status: number): FailureKind {
  if (status === 401) return 'not signed in';
  if (status === 403) return 'refused';
  return status === 429 || status >= 502 ? 'unreachable' : 'failed';
}
