import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterRequestOptions } from './cluster-link.ts';
import { maxRequests } from './inner-connection.ts';

type Options = {
  readonly open: () => Promise<ClientHttp2Session>;
  /** Connections into one cluster; with 250 requests each, 4 carry 1000 at a time. */
  readonly maxConnections?: number;
};

type Connection = { readonly session: ClientHttp2Session; streams: number };

/**
 * The HTTP/2 connections into one cluster: one that all requests share, a further one while it is full, a new one when
 * it is dead. Opening is single-flight, so that a burst of first requests makes one handshake.
 */
export class InnerConnections {
  readonly #open: () => Promise<ClientHttp2Session>;
  readonly #max: number;
  readonly #connections = new Set<Connection>();
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor({ open, maxConnections = 4 }: Options) {
    this.#open = open;
    this.#max = maxConnections;
  }

  get size(): number {
    return this.#connections.size;
  }

  async request(headers: OutgoingHttpHeaders, options: ClusterRequestOptions): Promise<ClientHttp2Stream> {
    for (;;) {
      options.signal?.throwIfAborted();
      if (this.#closed) throw new Problem('CLUSTER_NOT_CONNECTED');
      const connection = this.#withRoom();
      const stream = connection && start(connection, headers, options);
      if (stream) return stream;
      if (connection) continue;
      if (!this.#opening && this.#connections.size >= this.#max) {
        throw new Problem('TOO_MANY_REQUESTS', 'Too many requests into this cluster at the same time.', {
          headers: { 'Retry-After': '1' },
        });
      }
      this.#opening ??= this.#add().finally(() => (this.#opening = undefined));
      await abortable(this.#opening, options.signal);
    }
  }

  /** No more requests; what runs is reset. */
  close(): void {
    this.#closed = true;
    // Without error and code (Node takes no code alone) an answer that is cut off would look as if it were complete.
    const closed = new Error('the tunnel was closed');
    for (const { session, streams } of this.#connections) {
      // The code reaches the agent, which logs it: not where nothing was cut off.
      if (streams > 0) session.destroy(closed, constants.NGHTTP2_CANCEL);
      else session.destroy();
    }
    this.#connections.clear();
  }

  #withRoom(): Connection | undefined {
    for (const connection of this.#connections) {
      if (connection.session.closed || connection.session.destroyed) this.#connections.delete(connection);
      else if (connection.streams < limitOf(connection.session)) return connection;
    }
    return undefined;
  }

  async #add(): Promise<void> {
    const session = await this.#open();
    if (this.#closed) {
      session.destroy();
      return;
    }
    const connection: Connection = { session, streams: 0 };
    const forget = () => this.#connections.delete(connection);
    this.#connections.add(connection);
    session.once('close', forget);
    // The peer takes no new streams here; those that run may end.
    session.once('goaway', () => session.close());
    // Each stream gets the error too; the connection's own would end the process if nobody listened.
    session.on('error', forget);
  }
}

/** Undefined when the connection has just died. A header that cannot be sent is the caller's mistake and thrown. */
function start(
  connection: Connection,
  headers: OutgoingHttpHeaders,
  { endStream, waitForTrailers = false, signal }: ClusterRequestOptions,
): ClientHttp2Stream | undefined {
  let stream;
  try {
    stream = connection.session.request(headers, {
      endStream,
      waitForTrailers,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (connection.session.closed || connection.session.destroyed) return undefined;
    throw error;
  }
  connection.streams += 1;
  stream.once('close', () => (connection.streams -= 1));
  // The caller listens from its next turn on; an error before that must not end the process.
  stream.on('error', () => undefined);
  return stream;
}

/** A peer that sets no limit gets ours. */
const limitOf = (session: ClientHttp2Session): number =>
  Math.min(session.remoteSettings.maxConcurrentStreams ?? maxRequests, maxRequests);

async function abortable(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return work;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}
