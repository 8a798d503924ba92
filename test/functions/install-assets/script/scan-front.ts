/** The API as scan-report.sh meets it, and its storage: an HTTP server before image-scan's own handlers, memory for tables. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { newToken } from '../../../../core/credential/token.ts';
import { uploadKey } from '../../../../core/image/upload-key.ts';
import { Problem, problemBody, problemMediaType } from '../../../../core/problem/problem.ts';
import { newTenantId } from '../../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../../functions/image-scan/deps.ts';
import { handlers } from '../../../../functions/image-scan/routes.ts';
import { takeUpload } from '../../../../functions/image-scan/take-upload.ts';
import { caller, member } from '../../api-call.ts';
import { MemoryImages } from '../../image-scan/memory-images.ts';
import { MemoryUploads } from '../../image-scan/memory-uploads.ts';
import { listening } from './control-plane.ts';

type Reply = { readonly status: number; readonly type?: string; readonly body: string };
type Received = {
  readonly target: string;
  readonly body: Buffer;
  readonly headers: IncomingMessage['headers'];
};

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

export class ScanFront {
  readonly url: string;
  /** The API key that it takes. */
  readonly key = newToken('api-key').text;
  /** Requests to the API. */
  readonly uploads: Received[] = [];
  /** Requests to the storage. */
  readonly puts: Received[] = [];
  /** Bodies of what it answered with 201. */
  readonly answers: string[] = [];
  /** Instead of the answer: a fault. */
  instead: (received: Received) => Reply | Problem | undefined = () => undefined;
  /** Called with each upload; what it waits for, the answer waits for, too. */
  arrived: () => Promise<void> = () => Promise.resolve();
  /** Whether anybody tells of what comes into the storage. */
  announces = true;
  readonly close: () => Promise<void>;
  readonly #images = new MemoryImages();
  readonly #uploads = new MemoryUploads(() => `${this.url}/storage`);
  readonly #deps: Dependencies = {
    ...this.#images.stores,
    ...this.#uploads.stores,
    logger: silent,
    random: randomBytes,
    now: Date.now,
  };
  readonly #call = caller('image-scan', handlers(this.#deps));
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

  /** Digests of the images that were stored, in that order. */
  get stored(): string[] {
    return this.#images.writes.flatMap((write) => (write.startsWith('images ') ? [write.slice(7)] : []));
  }

  async #receive(request: IncomingMessage): Promise<Reply> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { url: target = '', headers } = request;
    const received = { target, body: Buffer.concat(parts), headers };
    const { pathname, searchParams } = new URL(target, this.url);
    const inStorage = pathname.startsWith('/prod/storage/');
    (inStorage ? this.puts : this.uploads).push(received);
    await this.arrived();
    const fault = this.instead(received);
    if (fault instanceof Problem) return problem(fault);
    if (fault) return fault;
    if (inStorage) return this.#store(request, received);
    if (headers.authorization !== `Bearer ${this.key}`) return problem(new Problem('UNAUTHENTICATED'));
    const path = pathname.slice('/prod'.length);
    const [, uploadId] = /^\/v1\/scan-uploads\/(.+)$/.exec(path) ?? [];
    const { status, text } = await this.#call({
      method: request.method ?? '',
      path,
      ...(uploadId === undefined ? {} : { resource: '/v1/scan-uploads/{uploadId}', params: { uploadId } }),
      query: Object.fromEntries(searchParams),
      headers: { 'content-type': headers['content-type'] ?? '' },
      body: received.body,
      caller: this.#as,
    });
    if (status === 201) this.answers.push(text);
    return { status, body: text };
  }

  /** As S3: these bytes by this request, or none. */
  #store(request: IncomingMessage, { target, body, headers }: Received): Reply {
    const uploadId = new URL(target, this.url).pathname.split('/').at(-1) ?? '';
    const sum = createHash('sha256').update(body).digest('base64');
    const isSigned = headers['content-type'] === 'application/json' && headers.authorization === undefined;
    if (request.method !== 'PUT' || !isSigned || headers['x-amz-checksum-sha256'] !== sum)
      return {
        status: 403,
        type: 'application/xml',
        body: '<Error><Code>SignatureDoesNotMatch</Code></Error>',
      };
    this.#uploads.objects.set(uploadId, body);
    const key = uploadKey(this.#as.tenantId, uploadId);
    const event = { source: 'aws.s3', 'detail-type': 'Object Created', detail: { object: { key } } } as const;
    if (this.announces) void takeUpload(this.#deps, event);
    return { status: 200, body: '' };
  }
}

const problem = (fault: Problem): Reply => ({
  status: fault.status,
  type: problemMediaType,
  body: JSON.stringify(problemBody(fault, 'request-7')),
});
