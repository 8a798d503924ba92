import { readFile } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import * as z from 'zod';
import type { Kube } from './kube-process.ts';

const kubeconfig = z.object({
  users: z.array(
    z.object({ user: z.object({ 'client-certificate': z.string(), 'client-key': z.string() }) }),
  ),
});

/** What any object of the API has; its other members are looked into by whoever knows the kind. */
export const kubeObject = z.looseObject({
  apiVersion: z.string().optional(),
  kind: z.string().optional(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    resourceVersion: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
});
export type KubeObject = z.infer<typeof kubeObject>;

const objectList = z.looseObject({ items: z.array(kubeObject) });

export class KubeError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The API of a test's cluster, asked directly as system:masters: cheaper than a kubectl for each question. */
export class KubeClient {
  readonly #url: string;
  readonly #agent: Agent;

  private constructor(url: string, agent: Agent) {
    this.#url = url;
    this.#agent = agent;
  }

  static async of({ url, ca, kubeconfig: file }: Kube): Promise<KubeClient> {
    const { users } = kubeconfig.parse(parse(await readFile(file, 'utf8')));
    const [first] = users;
    if (!first) throw new Error(`${file} names no user`);
    const cert = await readFile(first.user['client-certificate'], 'utf8');
    const key = await readFile(first.user['client-key'], 'utf8');
    return new KubeClient(url, new Agent({ keepAlive: true, maxSockets: 8, ca, cert, key }));
  }

  /** undefined: no such object, or no such kind. */
  async get(path: string): Promise<KubeObject | undefined> {
    const answer = await this.#send('GET', path);
    return answer === undefined ? undefined : kubeObject.parse(answer);
  }

  /** None when there is no such kind. */
  async list(path: string): Promise<readonly KubeObject[]> {
    const answer = await this.#send('GET', path);
    return answer === undefined ? [] : objectList.parse(answer).items;
  }

  /** Any JSON; undefined: 404. */
  document(path: string): Promise<unknown> {
    return this.#send('GET', path);
  }

  /** Server-side apply. `path`: the object's own. */
  async apply(path: string, object: object, manager = 'test'): Promise<KubeObject> {
    const answer = await this.#send(
      'PATCH',
      `${path}?fieldManager=${manager}&force=true`,
      object,
      'apply-patch+yaml',
    );
    return kubeObject.parse(answer);
  }

  /** A merge patch. `path`: the object's own, or that of its `/status`. */
  async patch(path: string, patch: object): Promise<KubeObject> {
    return kubeObject.parse(await this.#send('PATCH', path, patch, 'merge-patch+json'));
  }

  /** `path`: of the collection, or of a subresource. */
  create(path: string, object: object): Promise<unknown> {
    return this.#send('POST', path, object, 'json');
  }

  /** Absent is fine. */
  async delete(path: string): Promise<void> {
    await this.#send('DELETE', path);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** For a moment after a kind was made the API says 429 to questions about it: asked again. */
  async #send(method: string, path: string, body?: object, type?: string): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#sendOnce(method, path, body, type);
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 429 || attempt === 100) throw error;
        await delay(100);
      }
    }
  }

  #sendOnce(method: string, path: string, body?: object, type?: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        `${this.#url}${path}`,
        {
          method,
          agent: this.#agent,
          timeout: 30_000,
          headers: { accept: 'application/json', ...(type ? { 'content-type': `application/${type}` } : {}) },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            const status = incoming.statusCode ?? 0;
            if (status === 404 && method !== 'POST' && method !== 'PATCH') resolve(undefined);
            else if (status < 300) resolve(JSON.parse(text));
            else
              reject(
                new KubeError(status, `${method} ${path} was answered ${status}: ${text.slice(0, 500)}`),
              );
          });
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer to ${method} ${path}`)));
      outgoing.on('error', reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
