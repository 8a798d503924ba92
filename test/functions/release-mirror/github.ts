import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a path answers. */
export type Reply = (response: ServerResponse) => void;

/**
 * GitHub as far as the mirror sees it: a real HTTP server on loopback, and a `fetch` that finds it there under every
 * name, so that redirects, cut answers and silence are those of a network.
 */
export class GitHub {
  /** By host and path: `raw.githubusercontent.com/…`. What is not here is 404. */
  readonly replies = new Map<string, Reply>();
  /** Host and path of each request, in order. */
  readonly asked: string[] = [];
  readonly headers: Headers[] = [];
  readonly #server = createServer((request, response) => {
    const reply = this.replies.get(decodeURIComponent((request.url ?? '/').slice(1)));
    if (reply) reply(response);
    else response.writeHead(404).end('404: Not Found');
  });

  static async start(): Promise<GitHub> {
    const github = new GitHub();
    await new Promise<void>((resolve) => github.#server.listen(0, '127.0.0.1', resolve));
    return github;
  }

  readonly fetch: typeof fetch = (input, init) => {
    const { host, pathname } = new URL(input);
    this.asked.push(`${host}${pathname}`);
    this.headers.push(new Headers(init?.headers));
    const { port } = this.#server.address() as AddressInfo;
    return fetch(`http://127.0.0.1:${port}/${encodeURIComponent(`${host}${pathname}`)}`, init);
  };

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

export const serves =
  (bytes: Uint8Array, headers: Readonly<Record<string, string>> = {}): Reply =>
  (response) =>
    response.writeHead(200, { 'content-type': 'text/plain', ...headers }).end(bytes);
export const fails =
  (status: number): Reply =>
  (response) =>
    response.writeHead(status).end('sorry');
export const leadsTo =
  (location: string, status = 302): Reply =>
  (response) =>
    response.writeHead(status, { location }).end();
