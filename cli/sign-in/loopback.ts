import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loopbackRedirectUri } from '../../core/credential/sign-in-schema.ts';
import { Failure } from '../failure.ts';
import { returnPage } from './return-page.ts';

/** The browser's return with the right state. */
export type Returned = {
  /** With the code, or an error. */
  readonly url: URL;
  /** Shows the user how it went. */
  readonly show: (outcome: 'signed in' | 'failed') => void;
};

/** Waits on loopback for a browser that comes back from the issuer (RFC 8252 §7.3). */
export class Loopback {
  readonly redirectUri: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.redirectUri = loopbackRedirectUri((server.address() as AddressInfo).port);
  }

  /** On the first port that is free. Throws a Failure when none is. */
  static async listen(ports: readonly number[]): Promise<Loopback> {
    for (const port of ports) {
      const server = createServer();
      const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
        server.once('error', resolve);
        server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(undefined));
      });
      if (error === undefined) return new Loopback(server);
      if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error;
    }
    throw new Failure(
      'failed',
      `Every port for the browser’s return is taken (${ports.join(', ')}). Free one of them.`,
    );
  }

  /**
   * The first request that knows the state. Others (a page that guesses ports, a prefetched icon) are answered and
   * change nothing. Throws a Failure when nobody comes in time.
   */
  returned(state: string, timeoutMs: number): Promise<Returned> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const minutes = Math.round(timeoutMs / 60_000);
        reject(
          new Failure(
            'not signed in',
            `Nobody signed in within ${minutes} minutes. Try again: cattery login`,
          ),
        );
      }, timeoutMs);
      let over = false;
      this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        const url = this.#own(request);
        if (!url) answer(response, 404);
        else if (over || !sameText(url.searchParams.get('state') ?? '', state)) answer(response, 400);
        else {
          over = true;
          clearTimeout(timer);
          resolve({ url, show: (outcome) => answer(response, outcome === 'signed in' ? 200 : 400) });
        }
      });
    });
  }

  close(): void {
    this.#server.close();
    // A browser may hold a connection on which it never asked; the answers have their moment to get out.
    setTimeout(() => this.#server.closeAllConnections(), 500).unref();
  }

  /** The request's URL when it is for the redirect URI: also by its Host, which another site's script cannot choose. */
  #own({ method, url = '/', headers }: IncomingMessage): URL | undefined {
    const { host, pathname, origin } = new URL(this.redirectUri);
    if (method !== 'GET' || headers.host !== host || !url.startsWith('/')) return undefined;
    const asked = new URL(`${origin}${url}`);
    return asked.pathname === pathname ? asked : undefined;
  }
}

function answer(response: ServerResponse, status: 200 | 400 | 404): void {
  const { headers, body } = returnPage(status);
  // Nothing else comes on this connection, and it must not keep the process.
  response.writeHead(status, { ...headers, connection: 'close' }).end(body);
}

const sameText = (given: string, expected: string): boolean =>
  given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected));
