import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Json } from '../../../local/demo-cluster/kube-json.ts';
import type { KubeApi } from '../../../local/demo-cluster/kube-api-server.ts';

export type Call = { method?: string; headers?: Record<string, string>; body?: unknown; token?: string };
export type Reply = { status: number; headers: IncomingMessage['headers']; text: string; json: Json };

export const tableAccept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

function send(
  api: Pick<KubeApi, 'url' | 'ca' | 'token'>,
  path: string,
  call: Call,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body =
      call.body === undefined
        ? undefined
        : typeof call.body === 'string'
          ? call.body
          : JSON.stringify(call.body);
    const sent = request(api.url + path, {
      method: call.method ?? 'GET',
      ca: api.ca,
      agent: false,
      headers: {
        authorization: `Bearer ${call.token ?? api.token}`,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
        ...call.headers,
      },
    });
    sent.on('error', reject);
    sent.on('response', resolve);
    sent.end(body);
  });
}

/** One request over HTTP/1.1; `json` is null where the answer is none. */
export async function call(
  api: Pick<KubeApi, 'url' | 'ca' | 'token'>,
  path: string,
  options: Call = {},
): Promise<Reply> {
  const response = await send(api, path, options);
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  let json: Json = null;
  if (response.headers['content-type']?.startsWith('application/json')) json = JSON.parse(text) as Json;
  return { status: response.statusCode ?? 0, headers: response.headers, text, json };
}

/** A stream of lines that can be awaited one by one. */
export class Lines {
  readonly #response: IncomingMessage;
  readonly #iterator: AsyncIterator<string>;

  constructor(response: IncomingMessage) {
    this.#response = response;
    this.#iterator = Lines.#split(response);
  }

  get status(): number {
    return this.#response.statusCode ?? 0;
  }

  static async *#split(response: IncomingMessage): AsyncGenerator<string> {
    let rest = '';
    for await (const chunk of response.setEncoding('utf8')) {
      const parts = (rest + String(chunk)).split('\n');
      rest = parts.pop() ?? '';
      yield* parts;
    }
  }

  /** The next line, or undefined at the end. */
  async next(): Promise<string | undefined> {
    const result = await this.#iterator.next();
    return result.done ? undefined : result.value;
  }

  async nextJson(): Promise<Json> {
    return JSON.parse((await this.next()) ?? 'null') as Json;
  }

  close(): void {
    this.#response.destroy();
  }
}

/** Opens a watch or a followed log. */
export async function stream(
  api: Pick<KubeApi, 'url' | 'ca' | 'token'>,
  path: string,
  options: Call = {},
): Promise<Lines> {
  return new Lines(await send(api, path, options));
}
