/** The API as scan-report.sh meets it: an HTTP server before image-scan's own handlers, memory for tables. */
import { createServer, type IncomingMessage } from 'node:http';
import { defaultImagePolicy } from '../../../../core/image/image-schema.ts';
import { newToken } from '../../../../core/credential/token.ts';
import { Problem, problemBody, problemMediaType } from '../../../../core/problem/problem.ts';
import { newTenantId } from '../../../../core/tenant/identifier.ts';
import { handlers } from '../../../../functions/image-scan/routes.ts';
import { caller, member } from '../../api-call.ts';
import { listening } from './control-plane.ts';

type Reply = { readonly status: number; readonly type?: string; readonly body: string };

export class ScanFront {
  readonly url: string;
  /** The API key that it takes. */
  readonly key = newToken('api-key').text;
  readonly uploads: {
    readonly target: string;
    readonly body: Buffer;
    readonly headers: IncomingMessage['headers'];
  }[] = [];
  /** Bodies of what it answered with 201. */
  readonly answers: string[] = [];
  /** Digests of the images that were stored. */
  readonly stored: string[] = [];
  /** Instead of the answer: a fault. */
  instead: () => Reply | Problem | undefined = () => undefined;
  /** Called with each upload; what it waits for, the answer waits for, too. */
  arrived: () => Promise<void> = () => Promise.resolve();
  readonly close: () => Promise<void>;
  readonly #scan = caller(
    'image-scan',
    handlers({
      images: {
        keepLatest: (_tenant, { digest }) => {
          this.stored.push(digest);
          return Promise.resolve(true);
        },
        find: () => Promise.resolve([]),
        list: () => Promise.resolve({ images: [], more: false }),
      },
      policies: { read: () => Promise.resolve(defaultImagePolicy), write: () => Promise.resolve() },
      reports: { keep: (_tenant, { sha256 }) => Promise.resolve(sha256) },
      now: Date.now,
    }),
  );
  readonly #as = member(newTenantId());

  private constructor(url: string, close: () => Promise<void>) {
    [this.url, this.close] = [url, close];
  }

  static async start(): Promise<ScanFront> {
    const server = createServer();
    const front = new ScanFront(`http://127.0.0.1:${await listening(server)}/prod`, async () => {
      server.closeAllConnections();
      // Closed already: the test wants it away.
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    });
    server.on('request', (request, response) => {
      void front.#receive(request).then(({ status, type = 'application/json', body }) => {
        response.writeHead(status, { 'Content-Type': type }).end(body);
      });
    });
    return front;
  }

  async #receive(request: IncomingMessage): Promise<Reply> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { url: target = '', headers } = request;
    const body = Buffer.concat(parts);
    this.uploads.push({ target, body, headers });
    await this.arrived();
    const fault = this.instead();
    if (fault instanceof Problem) return problem(fault);
    if (fault) return fault;
    if (headers.authorization !== `Bearer ${this.key}`) return problem(new Problem('UNAUTHENTICATED'));
    const { pathname, searchParams } = new URL(target, this.url);
    if (request.method !== 'POST' || pathname !== '/prod/v1/scans') return problem(new Problem('NOT_FOUND'));
    const { status, text } = await this.#scan({
      method: 'POST',
      path: '/v1/scans',
      query: Object.fromEntries(searchParams),
      headers: { 'content-type': headers['content-type'] ?? '' },
      body,
      caller: this.#as,
    });
    if (status === 201) this.answers.push(text);
    return { status, body: text };
  }
}

const problem = (fault: Problem): Reply => ({
  status: fault.status,
  type: problemMediaType,
  body: JSON.stringify(problemBody(fault, 'request-7')),
});
