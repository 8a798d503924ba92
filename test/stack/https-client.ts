import type { IncomingHttpHeaders } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { eventually } from './poll.ts';

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** The text as JSON; undefined when it is none. */
  readonly json: unknown;
};

export type RequestOptions = {
  /** Bearer token; null: no credential. Default: the owner's. */
  readonly token?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** The loopback address that it comes from. */
  readonly localAddress?: string | undefined;
};

/** One line of a Kubernetes watch. */
export type WatchEvent = {
  readonly type: string;
  readonly object: { readonly metadata: { readonly name: string }; readonly data?: Record<string, string> };
};

const answerWithinMs = 30_000;

/** A client of one HTTPS port, verified by the given roots, in HTTP/1.1 and HTTP/2. */
export class HttpsClient {
  readonly #url: string;
  readonly #ca: string;
  readonly #token: string;
  readonly #agent: Agent;
  #session: ClientHttp2Session | undefined;

  constructor(url: string, ca: string, token: string) {
    this.#url = url;
    this.#ca = ca;
    this.#token = token;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 64, ca });
  }

  get(path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.send('GET', path, options);
  }

  post(path: string, body: unknown, options: RequestOptions = {}): Promise<Answer> {
    return this.send('POST', path, { ...options, body });
  }

  send(
    method: string,
    path: string,
    { token, body, headers, localAddress }: RequestOptions = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        `${this.#url}${path}`,
        {
          method,
          agent: this.#agent,
          timeout: answerWithinMs,
          ...(localAddress === undefined ? {} : { localAddress }),
          headers: { ...this.#credential(token), ...contentType(body), ...headers },
        },
        (incoming) => {
          textOf(incoming).then(
            (text) =>
              resolve({
                status: incoming.statusCode ?? 0,
                headers: incoming.headers,
                text,
                json: parsed(text),
              }),
            reject,
          );
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer to ${method} ${path}`)));
      outgoing.on('error', reject);
      outgoing.end(bytesOf(body));
    });
  }

  /** The same over HTTP/2, on one connection. */
  async sendOverHttp2(
    method: string,
    path: string,
    { token, body, headers }: RequestOptions = {},
  ): Promise<Answer> {
    const stream = this.#connection().request({
      ':method': method,
      ':path': path,
      ...this.#credential(token),
      ...contentType(body),
      ...headers,
    });
    stream.setTimeout(answerWithinMs, () => stream.destroy(new Error(`no answer to ${method} ${path}`)));
    let [status, received] = [0, {}];
    stream.on('response', (answered) => {
      status = answered[':status'] ?? 0;
      received = answered;
    });
    stream.end(bytesOf(body));
    const text = await textOf(stream);
    return { status, headers: received, text, json: parsed(text) };
  }

  /** Opens a watch; resolves when its answer has begun. */
  watch(path: string, protocol: 'HTTP/1.1' | 'HTTP/2', { token }: RequestOptions = {}): Promise<OpenWatch> {
    return new Promise((resolve, reject) => {
      const begun = (status: number, stream: Readable, cancel: () => void) => {
        if (status === 200) {
          resolve(new OpenWatch(stream, cancel));
          return;
        }
        cancel();
        reject(new Error(`the watch was answered ${status}`));
      };
      if (protocol === 'HTTP/1.1') {
        const outgoing = httpsRequest(
          `${this.#url}${path}`,
          { ca: this.#ca, agent: false, headers: this.#credential(token) },
          (answer) => begun(answer.statusCode ?? 0, answer, () => outgoing.destroy()),
        );
        outgoing.on('error', reject).end();
      } else {
        const session = connect(this.#url, { ca: this.#ca });
        session.on('error', reject);
        const stream = session.request({ ':path': path, ...this.#credential(token) });
        stream.on('response', (answer) => begun(answer[':status'] ?? 0, stream, () => session.destroy()));
        stream.on('error', reject).end();
      }
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connection(): ClientHttp2Session {
    if (!this.#session || this.#session.destroyed || this.#session.closed) {
      this.#session = connect(this.#url, { ca: this.#ca });
      this.#session.on('error', () => undefined);
    }
    return this.#session;
  }

  #credential(token: string | null | undefined): IncomingHttpHeaders {
    return token === null ? {} : { authorization: `Bearer ${token ?? this.#token}` };
  }
}

/** A watch under way: what came, and whether it has ended. */
export class OpenWatch {
  readonly events: WatchEvent[] = [];
  ended = false;
  readonly #cancel: () => void;

  constructor(stream: Readable, cancel: () => void) {
    this.#cancel = cancel;
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.events.push(JSON.parse(line) as WatchEvent);
    });
    for (const over of ['end', 'error', 'close']) stream.on(over, () => (this.ended = true));
  }

  /** The first event that fits. */
  event(what: string, fits: (event: WatchEvent) => boolean, withinMs = 10_000): Promise<WatchEvent> {
    return eventually(what, withinMs, () => this.events.find(fits));
  }

  cancel(): void {
    this.#cancel();
  }
}

const contentType = (body: unknown): Record<string, string> =>
  body === undefined ? {} : { 'content-type': 'application/json' };

const bytesOf = (body: unknown): string | Uint8Array | undefined =>
  body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
