import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

type Options = {
  readonly listen: { readonly host: string; readonly port: number };
  /** Whether new connections should come here. */
  readonly ready: () => boolean;
};

/**
 * Plain HTTP for the load balancer: /live says that the process turns, /ready that it can serve. Readiness means
 * "has started and is not stopping", not "all it depends on answers this second": a failing directory must not make the
 * service replace a task that holds live tunnels.
 */
export class HealthServer {
  readonly #options: Options;
  readonly #server: Server;

  constructor(options: Options) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      const status = request.method === 'GET' || request.method === 'HEAD' ? this.#status(request.url) : 405;
      response.writeHead(status, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' });
      response.end(request.method === 'HEAD' ? undefined : status === 200 ? 'ok\n' : 'no\n');
    });
  }

  listen(): Promise<number> {
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #status(url: string | undefined): number {
    if (url === '/live') return 200;
    if (url === '/ready') return this.#options.ready() ? 200 : 503;
    return 404;
  }
}
