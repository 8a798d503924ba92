import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

export type InternalAnswer = {
  readonly status: number;
  readonly type: string;
  readonly body: string;
};

type Options = {
  readonly listen: { readonly host: string; readonly port: number };
  /** The answer to GET and HEAD of a path; undefined: there is none such. */
  readonly answer: (path: string) => InternalAnswer | undefined | Promise<InternalAnswer>;
  /** Connections beyond are dropped at once. */
  readonly maxConnections?: number;
  /** For the head of a request and for a whole one, ms. */
  readonly requestTimeoutMs?: number;
  readonly onError: (error: Error) => void;
};

/**
 * Plain HTTP/1.1 for machines of our own: the load balancer's health checks, the collector of metrics. Whoever reaches
 * it may be slow or many: a request has 5 s, a connection one request, and there are 64 connections.
 */
export class InternalServer {
  readonly #options: Options;
  readonly #server: Server;

  constructor(options: Options) {
    this.#options = options;
    const { requestTimeoutMs = 5_000 } = options;
    this.#server = createServer(
      {
        headersTimeout: requestTimeoutMs,
        requestTimeout: requestTimeoutMs,
        connectionsCheckingInterval: Math.min(requestTimeoutMs, 1_000),
        maxHeaderSize: 8_192,
        keepAlive: false,
      },
      (request, response) => {
        const send = ({ status, type, body }: InternalAnswer) => {
          response.writeHead(status, {
            'Content-Type': type,
            'Content-Length': Buffer.byteLength(body),
            'Cache-Control': 'no-store',
            Connection: 'close',
          });
          response.end(request.method === 'HEAD' ? undefined : body);
          request.resume();
        };
        this.#answer(request.method, request.url ?? '').then(send, (error: unknown) => {
          options.onError(error instanceof Error ? error : new Error(String(error)));
          send(plain(500));
        });
      },
    );
    this.#server.maxConnections = options.maxConnections ?? 64;
    // Who connects and says nothing, or reads its answer never.
    this.#server.setTimeout(2 * requestTimeoutMs, (socket) => socket.destroy());
  }

  /** Resolves with the port; rejects when the address cannot be listened on. */
  async listen(): Promise<number> {
    const { host, port } = this.#options.listen;
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    // What accepting meets later (no descriptors left, say) must not end the process and every tunnel in it.
    this.#server.on('error', this.#options.onError);
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(method: string | undefined, url: string): Promise<InternalAnswer> {
    if (method !== 'GET' && method !== 'HEAD') return plain(405);
    return (await this.#options.answer(url.split('?', 1)[0] ?? '')) ?? plain(404);
  }
}

export const plain = (status: number): InternalAnswer => ({
  status,
  type: 'text/plain',
  body: status === 200 ? 'ok\n' : 'no\n',
});
