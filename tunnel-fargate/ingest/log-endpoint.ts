import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { Problem, problemBody, problemMediaType } from '../../core/problem/problem.ts';
import { acceptTls, type KeyPair, serverContext } from '../agent/tls-acceptance.ts';
import type { FlowIngest, LogSource } from './flow-ingest.ts';

export type LogEndpointOptions = {
  readonly certificate: KeyPair;
  readonly ingest: Pick<FlowIngest, 'take'>;
  readonly logger: Logger;
  /** Streams of one tunnel at a time; beyond: reset. */
  readonly maxStreams?: number;
  readonly handshakeTimeoutMs?: number;
  /** Without a byte of a request that has begun, ms. */
  readonly stallTimeoutMs?: number;
  /** From the handshake to the end of the first head, ms; later heads have the pause between two uploads besides. */
  readonly headTimeoutMs?: number;
};

/** Goldmane pushes every 5 minutes (guardian.md §4.1): its connection is kept over one pause. */
const keepAliveMs = 600_000;
/** How long a refused body is still read, so that the sender sees the answer instead of a broken pipe, ms. */
const discardMs = 5_000;

/**
 * What a cluster finds behind a stream that it opens: TLS as the log endpoint, HTTP/1.1, and the bulk paths
 * (guardian.md §4). Anything else than TLS on a stream resets that stream only.
 */
export class LogEndpoint {
  readonly #options: LogEndpointOptions;
  readonly #server: Server;
  readonly #sources = new WeakMap<object, LogSource>();
  readonly #streams = new WeakMap<LogSource, number>();
  readonly #running = new Set<Promise<void>>();
  /** Of each connection: ends it unless a head comes. */
  readonly #heads = new WeakMap<object, NodeJS.Timeout>();
  #context: SecureContext;
  #draining = false;

  constructor(options: LogEndpointOptions) {
    this.#options = options;
    this.#context = serverContext(options.certificate);
    // It never listens: connections are handed to it. So Node's own check of slow requests does not run either; the
    // inactivity timeout below, the time for a head and that for an upload bound them, and the number of streams per
    // tunnel bounds what one cluster can hold.
    this.#server = createServer(
      { keepAliveTimeout: keepAliveMs, maxHeaderSize: 16_384 },
      (request, response) => this.#onRequest(request, response),
    );
    this.#server.timeout = options.stallTimeoutMs ?? 60_000;
  }

  /** Streams from now on get this certificate. Throws when key and certificate do not match. */
  useCertificate(certificate: KeyPair): void {
    this.#context = serverContext(certificate);
  }

  /** Serves a stream that the cluster of `source` opened. The same object for all streams of a tunnel. */
  accept(stream: Duplex, source: LogSource): void {
    const { maxStreams = 64, handshakeTimeoutMs = 10_000, logger } = this.#options;
    stream.on('error', () => undefined);
    const open = this.#streams.get(source) ?? 0;
    if (open >= maxStreams) {
      stream.destroy();
      return;
    }
    this.#streams.set(source, open + 1);
    stream.once('close', () => this.#streams.set(source, (this.#streams.get(source) ?? 1) - 1));
    acceptTls(stream, { context: this.#context, timeoutMs: handshakeTimeoutMs, alpn: ['http/1.1'] }).then(
      (socket) => {
        this.#sources.set(socket, source);
        socket.once('close', () => clearTimeout(this.#heads.get(socket)));
        this.#expectHead(socket, this.#options.headTimeoutMs ?? 60_000);
        this.#server.emit('connection', socket);
      },
      (error: unknown) =>
        logger.debug({ err: error, ...named(source) }, 'a stream of the cluster brought no TLS'),
    );
  }

  /** From now on uploads are refused with 503, which their sender repeats; waits for those that run, `ms` at most. */
  async drain(ms: number): Promise<void> {
    this.#draining = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
    await Promise.race([Promise.allSettled(this.#running), over]);
    clearTimeout(timer);
  }

  /** A sender that trickles its head is always active: only this bounds it. */
  #expectHead(socket: Duplex, ms: number): void {
    clearTimeout(this.#heads.get(socket));
    if (!socket.destroyed) this.#heads.set(socket, setTimeout(() => socket.destroy(), ms).unref());
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    clearTimeout(this.#heads.get(socket));
    response.once('close', () =>
      this.#expectHead(socket, keepAliveMs + (this.#options.headTimeoutMs ?? 60_000)),
    );
    const running = this.#serve(request, response).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const source = this.#sources.get(request.socket);
    if (!source) {
      request.socket.destroy();
      return;
    }
    try {
      await this.#store(request, source);
      // Exactly 200, and empty: Goldmane counts every other status as a failure and closes the body unread.
      response.writeHead(200, { 'Content-Length': 0 }).end();
    } catch (error) {
      if (request.destroyed && !request.complete) return;
      this.#refuse(request, response, error, source);
    }
  }

  async #store(request: IncomingMessage, source: LogSource): Promise<void> {
    checkHead(request);
    if (this.#draining) throw new Problem('UNAVAILABLE', 'This server is stopping.');
    const length = request.headers['content-length'];
    await this.#options.ingest.take(
      {
        // The request stays readable, so that it can be answered.
        chunks: request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>,
        declaredBytes: length === undefined ? undefined : Number(length),
      },
      source,
    );
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown, source: LogSource): void {
    const problem = error instanceof Problem ? error : new Problem('INTERNAL', undefined, { cause: error });
    const requestId = randomUUID();
    const { logger } = this.#options;
    const line = { ...named(source), code: problem.code, requestId };
    if (problem.status >= 500) logger.error({ ...line, err: problem.cause }, 'an upload failed');
    else logger.warn(line, 'an upload was refused');
    const body = JSON.stringify(problemBody(problem, requestId));
    response.writeHead(problem.status, {
      'Content-Type': problemMediaType,
      'Content-Length': Buffer.byteLength(body),
      ...problem.headers,
      ...(request.complete ? {} : { Connection: 'close' }),
    });
    response.write(body);
    discard(request, () => response.end());
  }
}

/** For log lines: a source may have more members, or have them as getters. */
const named = ({ tenantId, clusterId }: LogSource): LogSource => ({ tenantId, clusterId });

function checkHead({ method, url = '', headers }: IncomingMessage): void {
  if (url.split('?', 1)[0] !== '/api/v1/flows/bulk') throw new Problem('NOT_FOUND');
  if (method !== 'POST') throw new Problem('METHOD_NOT_ALLOWED', undefined, { headers: { Allow: 'POST' } });
  if (!/^application\/x-ndjson\s*(?:;|$)/i.test(headers['content-type'] ?? '')) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/x-ndjson.');
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'The body must not be encoded.');
  }
}

/** Reads and drops the rest of a refused body, for a while: a stream that is reset at once takes the answer with it. */
function discard(request: IncomingMessage, done: () => void): void {
  if (request.complete || request.destroyed) {
    done();
    return;
  }
  const timer = setTimeout(finish, discardMs);
  request.once('end', finish);
  request.once('close', finish);
  request.resume();
  function finish() {
    clearTimeout(timer);
    request.off('end', finish);
    request.off('close', finish);
    done();
  }
}
