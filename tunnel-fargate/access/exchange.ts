import { randomUUID } from 'node:crypto';
import { type IncomingMessage, ServerResponse } from 'node:http';
import {
  constants,
  type Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { Duplex, Readable, Writable } from 'node:stream';
import { Traffic } from './traffic.ts';

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** A connection that its request wants to use for another protocol, and what came behind the request. */
export type UpgradeSocket = { readonly socket: Duplex; readonly early: Buffer };

/** How long the rest of a body that nobody wants may take to come in before it is cut off, ms. */
const discardMs = 5_000;

/**
 * One request of a client and its answer, the same over HTTP/1.1 and HTTP/2. The answer is either whole (`answer`) or
 * begun and then streamed (`begin`, then `reset` when it cannot be completed).
 */
export class Exchange {
  readonly requestId: string = randomUUID();
  readonly method: string;
  /** The request target as it came. */
  readonly target: string;
  /** Names in lower case, pseudo-headers included. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  readonly hasBody: boolean;
  /** Where the connection comes from; empty when it had gone already. */
  readonly remoteAddress: string;
  /** Bytes of both bodies so far. */
  readonly traffic = new Traffic();
  readonly #request: IncomingMessage | Http2ServerRequest;
  readonly #response: ServerResponse | Http2ServerResponse;
  readonly #closing: () => boolean;
  readonly #upgrade: UpgradeSocket | undefined;
  readonly #gone = new AbortController();
  #switched = false;

  /**
   * `closing`: whether this is to be the last answer on its HTTP/1.1 connection.
   * `upgrade`: the connection of an HTTP/1.1 request for another protocol, which {@link switchProtocols} gives away.
   */
  constructor(
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    closing: () => boolean = () => false,
    upgrade?: UpgradeSocket,
  ) {
    this.#request = request;
    this.#response = response;
    this.#closing = closing;
    this.#upgrade = upgrade;
    this.method = request.method ?? '';
    this.target = request.url ?? '';
    this.headers = request.headers;
    this.body = request;
    this.remoteAddress = request.socket.remoteAddress ?? '';
    this.hasBody =
      'stream' in request
        ? !request.stream.endAfterHeaders
        : request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0;
    const sink = this.#sink;
    const ended = () => {
      if (!sink.writableFinished) this.#gone.abort(new ClientGone());
    };
    sink.once('close', ended);
    // A stream that the client resets is ended by Node first, and then looks finished.
    if ('stream' in request) request.stream.once('aborted', () => this.#gone.abort(new ClientGone()));
    // Both ends report what went wrong with the connection; that the client is gone is all there is to know.
    sink.on('error', ended);
    request.on('error', ended);
    response.on('error', ended);
  }

  /** Aborted with {@link ClientGone} when the client went away before its answer was complete, with {@link AnswerCut} by `reset`. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get headSent(): boolean {
    return this.#switched || this.#response.headersSent;
  }

  /** An answer has begun and is not out yet. */
  get isAnswering(): boolean {
    return this.headSent && !this.#response.writableFinished;
  }

  /** Of the answer; undefined before it has begun. */
  get status(): number | undefined {
    if (this.#switched) return 101;
    return this.headSent ? this.#response.statusCode : undefined;
  }

  /** Values of a header as they came, one each; Node would keep only the first of some. */
  valuesOf(name: string): string[] {
    const { rawHeaders } = this.#request;
    return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
  }

  /** The size of the request's head as HTTP/2 counts it (RFC 9113 §6.5.2), bytes. */
  get headBytes(): number {
    const { rawHeaders } = this.#request;
    return rawHeaders.reduce((sum, text) => sum + Buffer.byteLength(text) + 16, 0);
  }

  get isHttp2(): boolean {
    return this.#response instanceof Http2ServerResponse;
  }

  /** Whether the client waits to be told before it sends its body. */
  get expectsContinue(): boolean {
    return /^100-continue$/i.test(this.headers.expect ?? '');
  }

  /** What came behind the body; complete once it has ended. */
  get trailers(): IncomingHttpHeaders {
    return this.#request.trailers;
  }

  /** Whether the client wants another protocol on this connection or stream. */
  get wantsUpgrade(): boolean {
    return this.headers.upgrade !== undefined || this.headers[':protocol'] !== undefined;
  }

  /** Whether {@link switchProtocols} can be called: an HTTP/1.1 request that says Connection: upgrade. */
  get canSwitch(): boolean {
    return this.#upgrade !== undefined;
  }

  /** Whether the body came to its own end; false while it comes, and when the client broke it off. */
  get bodyIsWhole(): boolean {
    const request = this.#request;
    return 'stream' in request ? request.readableEnded && !request.stream.rstCode : request.complete;
  }

  /** Whether an HTTP/1.1 body has a length that every reader reads alike (RFC 9112 §6.1). */
  get isWellFramed(): boolean {
    const coding = this.headers['transfer-encoding'];
    return coding === undefined || coding.trim().toLowerCase() === 'chunked';
  }

  /** Sends an informational answer (1xx) before the answer itself, where HTTP/1.1 and Node have a way to say it. */
  inform(status: number, headers: Headers): void {
    const response = this.#response;
    if (this.gone.aborted || this.headSent) return;
    if (response instanceof Http2ServerResponse) {
      response.stream.additionalHeaders({ ...headers, ':status': status });
    } else if (this.#request.httpVersionMinor === 0) {
      // HTTP/1.0 knows none.
    } else if (status === 100) response.writeContinue();
    else if (status === 102) response.writeProcessing();
    else if (status === 103) earlyHints(response, headers);
  }

  /** Sends the whole answer. */
  answer(status: number, headers: Headers, body: string | Uint8Array = ''): void {
    if (this.gone.aborted) return;
    if (body.length === 0 && this.#response instanceof Http2ServerResponse) {
      // In one frame: gRPC takes the status of an answer without a body from a head that ends the stream.
      this.#response.statusCode = status;
      this.#response.stream.respond(
        { ...headers, ':status': status },
        {
          endStream: true,
        },
      );
      this.#discardBody();
      return;
    }
    this.#writeHead(status, headers);
    if (body.length > 0 && this.method !== 'HEAD') {
      this.traffic.send(Buffer.byteLength(body));
      this.#response.end(body);
    } else {
      this.#response.end();
    }
    this.#sink.once('finish', () => this.#discardBody());
  }

  /** Sends the head at once; the body is written to what it returns. */
  begin(status: number, headers: Headers): Writable {
    this.gone.throwIfAborted();
    this.#writeHead(status, headers);
    if (this.#response instanceof ServerResponse) this.#response.flushHeaders();
    this.#sink.once('finish', () => this.#discardBody());
    return this.#sink;
  }

  /**
   * Answers 101 and gives the bare connection away, on which the other protocol is spoken from now on. `gone` is aborted
   * when the client breaks it off; who gets the connection ends it.
   */
  switchProtocols(headers: Headers): Duplex {
    this.gone.throwIfAborted();
    const response = this.#response;
    if (!this.#upgrade || !(response instanceof ServerResponse)) throw new Error('this cannot be upgraded');
    const { socket, early } = this.#upgrade;
    // Ends the response without closing the connection; its listeners for the connection's close go with it.
    response.detachSocket(this.#request.socket);
    this.#switched = true;
    socket.once('close', () => {
      if (!socket.readableEnded) this.#gone.abort(new ClientGone());
    });
    const lines = Object.entries(headers).flatMap(([name, values]) =>
      [values].flat().map((value) => `${name}: ${value}`),
    );
    socket.write(`${['HTTP/1.1 101 Switching Protocols', ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
    if (early.length > 0) socket.unshift(early);
    return socket;
  }

  /** To be sent after the body; too late once the body has ended. */
  addTrailers(trailers: Headers): void {
    if (!this.gone.aborted && !this.#sink.writableEnded) {
      this.#response.addTrailers(trailers as Record<string, string>);
    }
  }

  /** Ends the answer so that the client sees that it is not complete: RST_STREAM, or the connection is cut. */
  reset(): void {
    this.#gone.abort(new AnswerCut());
    if (this.#response instanceof ServerResponse) this.#request.socket.destroy();
    // Not close(): that ends the stream before it resets it, and the client would take the part for the whole.
    else this.#response.stream.destroy(new AnswerCut());
  }

  get #sink(): Writable {
    return this.#response instanceof ServerResponse ? this.#response : this.#response.stream;
  }

  #writeHead(status: number, headers: Headers): void {
    const mutable = headers as Record<string, string | string[]>;
    if (this.#response instanceof Http2ServerResponse) this.#response.writeHead(status, mutable);
    else this.#response.writeHead(status, this.#closing() ? { ...mutable, connection: 'close' } : mutable);
  }

  /**
   * The answer is out; what is left of the request is read and thrown away for a while. Not reset at once: Go's client
   * then drops the answer, of which the end may still be on its way, and HTTP/1.1 would lose it with the connection.
   */
  #discardBody(): void {
    const request = this.#request;
    if (!this.hasBody || request.readableEnded || request.destroyed) return;
    const cut = setTimeout(() => {
      if ('stream' in request) request.stream.close(constants.NGHTTP2_NO_ERROR);
      else request.socket.destroy();
    }, discardMs);
    const settled = () => clearTimeout(cut);
    request.once('end', settled);
    ('stream' in request ? request.stream : request.socket).once('close', settled);
    request.resume();
  }
}

/** Node refuses links that are not well-formed. They were only hints. */
function earlyHints(response: ServerResponse, headers: Headers): void {
  try {
    response.writeEarlyHints(headers as Record<string, string | string[]>);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** We could not complete the answer. */
export class AnswerCut extends Error {
  override readonly name = 'AnswerCut';
  constructor() {
    super('the answer was cut');
  }
}

/** The client closed the connection or reset its stream: nobody is left to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
  constructor() {
    super('the client went away');
  }
}
