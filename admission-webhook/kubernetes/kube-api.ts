import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import path from 'node:path';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';

/** The API server refused, or is away (status 0). The message holds no body of objects. */
export class KubeApiError extends Error {
  override readonly name = 'KubeApiError';
  /** 0: there was no answer. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** What this webhook asks of the Kubernetes API. `path`s begin with `/api/` or `/apis/`. */
export type KubeApi = {
  /** An object as JSON; undefined: 404. */
  readonly read: (path: string) => Promise<unknown>;
  /** PUT. With `metadata.resourceVersion` in it: 409 when somebody else was faster. */
  readonly replace: (path: string, object: object) => Promise<void>;
  /** Strategic merge patch. With `metadata.resourceVersion` in it: 409 when somebody else was faster. */
  readonly patch: (path: string, patch: object) => Promise<void>;
  /** The lines of a watch, each an event as JSON, until the server ends it, `signal` does, or nothing came for `idleMs`. */
  readonly watch: (path: string, options: WatchOptions) => AsyncIterable<unknown>;
};
export type WatchOptions = { readonly signal: AbortSignal; readonly idleMs: number };

/** What is answered at most, bytes: the list of some 10,000 namespaces. */
const maxAnswer = 64 * 1_048_576;
const patienceMs = 10_000;
/** Kubelets renew an account's token and CA in their files, at the latest when 80 % of an hour is over. */
const credentialsMs = 60_000;

type Options = {
  /** `https://10.96.0.1:443`. */
  readonly url: string;
  /** With `token` and `ca.crt`, as kubelets mount an account's. */
  readonly accountDirectory: string;
  readonly now: () => number;
};

/** The API server of the cluster that this runs in, asked as this pod's account. `close` ends its connections. */
export function kubeApi({ url, accountDirectory, now }: Options): KubeApi & { readonly close: () => void } {
  const target = new URL(url);
  let known: { readonly agent: Agent; readonly ca: string; readonly token: string } | undefined;
  let readAt = -Infinity;
  const credentials = async () => {
    if (known && now() - readAt < credentialsMs) return known;
    const [ca, token] = await Promise.all(
      ['ca.crt', 'token'].map((file) => readFile(path.join(accountDirectory, file), 'utf8')),
    );
    if (ca === undefined || token === undefined) throw new Error('there is no account');
    if (known?.ca !== ca) known?.agent.destroy();
    const agent = known?.ca === ca ? known.agent : new Agent({ keepAlive: true, maxSockets: 4, ca });
    known = { agent, ca, token: token.trim() };
    readAt = now();
    return known;
  };

  const send = async (
    method: string,
    resource: string,
    { body, type, signal }: { body?: object; type?: string; signal?: AbortSignal } = {},
  ): Promise<IncomingMessage> => {
    const { agent, token } = await credentials();
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: target.hostname.replace(/^\[(.*)\]$/, '$1'),
          port: target.port === '' ? 443 : target.port,
          path: resource,
          method,
          agent,
          timeout: patienceMs,
          headers: {
            Authorization: `Bearer ${token}`,
            Accept: 'application/json',
            'User-Agent': 'cattery-admission-webhook',
            ...(type === undefined ? {} : { 'Content-Type': type }),
          },
          ...(signal ? { signal } : {}),
        },
        resolve,
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${patienceMs / 1_000} s`)));
      outgoing.on('error', (error) => {
        reject(new KubeApiError(0, `${method} ${resource}: ${error.message}`, { cause: error }));
      });
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  };

  const json = async (method: string, resource: string, given?: { body: object; type: string }) => {
    const incoming = await send(method, resource, given);
    const text = await textOf(incoming, `${method} ${resource}`);
    const status = incoming.statusCode ?? 0;
    if (status === 404 && method === 'GET') return undefined;
    if (status >= 300) {
      // The token may have been replaced before its time.
      if (status === 401) readAt = -Infinity;
      throw new KubeApiError(status, `${method} ${resource} was answered ${status}`);
    }
    return JSON.parse(text) as unknown;
  };

  return {
    read: (resource) => json('GET', resource),
    replace: async (resource, body) => {
      await json('PUT', resource, { body, type: 'application/json' });
    },
    patch: async (resource, body) => {
      await json('PATCH', resource, { body, type: 'application/strategic-merge-patch+json' });
    },
    watch: async function* (resource, { signal, idleMs }) {
      const incoming = await send('GET', resource, { signal });
      if (incoming.statusCode !== 200) {
        incoming.resume();
        if (incoming.statusCode === 401) readAt = -Infinity;
        throw new KubeApiError(
          incoming.statusCode ?? 0,
          `GET ${resource} was answered ${incoming.statusCode}`,
        );
      }
      incoming.socket.setTimeout(idleMs, () => incoming.destroy(new Error(`nothing came for ${idleMs} ms`)));
      try {
        for await (const line of createInterface({ input: incoming })) {
          if (line !== '') yield JSON.parse(line) as unknown;
        }
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new KubeApiError(0, `GET ${resource}: ${why}`, { cause: error });
      } finally {
        incoming.destroy();
      }
    },
    close: () => known?.agent.destroy(),
  };
}

function textOf(incoming: IncomingMessage, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxAnswer) incoming.destroy(new Error(`more than ${maxAnswer} bytes`));
      else chunks.push(chunk);
    });
    incoming.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    incoming.on('error', (error) =>
      reject(new KubeApiError(0, `${what}: ${error.message}`, { cause: error })),
    );
    incoming.on('close', () => {
      if (!incoming.complete) reject(new KubeApiError(0, `${what}: the answer was cut off`));
    });
  });
}
