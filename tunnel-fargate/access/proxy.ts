import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { addAbortSignal } from 'node:stream';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';
import { answerHead } from './cluster-answer.ts';
import type { Exchange } from './exchange.ts';
import { type FlowLimits, watchFlow } from './flow-watch.ts';
import {
  informationHeaders,
  outerLocation,
  requestHeaders,
  requestTrailers,
  responseHeaders,
  responseTrailers,
} from './header-filter.ts';
import type { ImpersonatedIdentity } from './impersonation.ts';

export type ProxiedRequest = {
  /** Path and query as the cluster shall see them. */
  readonly path: string;
  /** `/clusters/{clusterId}`: what redirects of the cluster are put under. */
  readonly prefix: string;
  /** ms without a sign of the cluster's answer before TIMEOUT; undefined: silence is normal. */
  readonly timeoutMs: number | undefined;
  /** How long bodies may stand still; undefined: for ever. */
  readonly still?: StillnessLimits | undefined;
  /** Whom the cluster shall see; undefined: its own Guardian. */
  readonly identity?: ImpersonatedIdentity | undefined;
};

export type StillnessLimits = {
  /** Of the client's body and of the cluster's. */
  readonly request: FlowLimits;
  readonly answer: FlowLimits;
};

export type ProxiedAnswer = {
  readonly status: number;
  /** Settles when the answer has been passed on or was cut. */
  readonly done: Promise<void>;
  /** Ends an answer that never ends by itself as its server would: at the end of what was sent so far. */
  finish(): void;
};

/**
 * Sends a client's request into the cluster and its answer back, both as they come: neither is held back or collected,
 * and whichever side reads slowly slows the other (HTTP/2 windows, TCP). An answer has no time limit.
 *
 * A client that goes away resets the inner stream (CANCEL). A cluster that breaks off resets the client's: a cut answer
 * never looks complete.
 *
 * Resolves when the answer's head was passed on. Rejects before that with what {@link answerHead} and the link reject with.
 */
export async function proxy(
  exchange: Exchange,
  link: ClusterLink,
  { path, prefix, timeoutMs, identity, still }: ProxiedRequest,
): Promise<ProxiedAnswer> {
  const { gone, hasBody, method } = exchange;
  const stream = await link.request(requestHeaders(exchange.headers, { method, path, identity }), {
    endStream: !hasBody,
    waitForTrailers: hasBody,
    signal: gone,
  });
  // What went wrong shows in 'close' and its code.
  stream.on('error', () => undefined);
  const cancel = cancellation(stream);
  gone.addEventListener('abort', cancel, { once: true });
  stream.once('close', () => gone.removeEventListener('abort', cancel));
  if (gone.aborted) cancel();
  // A short answer may be here as a whole, trailers too, before its head is looked at.
  let trailers: IncomingHttpHeaders | undefined;
  stream.once('trailers', (early: IncomingHttpHeaders) => (trailers = early));
  const silence = new AbortController();
  if (hasBody) {
    sendBody(exchange, stream, cancel);
    if (still) watchBody(exchange, stream, still.request, silence);
  }

  try {
    const head = await answerHead(stream, {
      signal: hasBody && still ? AbortSignal.any([gone, silence.signal]) : gone,
      timeoutMs,
      onTouch: (touch) => exchange.body.on('data', touch),
      onInformation: (status, headers) => exchange.inform(status, informationHeaders(headers)),
    });
    assertOfTheCluster(head.status);
    const location = locationOf(head, prefix, path);
    const headers = responseHeaders(head.headers, { requestId: exchange.requestId, location });
    if (head.complete || method === 'HEAD' || head.status === 204 || head.status === 304) {
      if (head.complete) stream.resume();
      else cancel();
      exchange.answer(head.status, headers);
      return { status: head.status, done: Promise.resolve(), finish: () => undefined };
    }
    const sink = exchange.begin(head.status, headers);
    if (trailers) exchange.addTrailers(responseTrailers(trailers));
    stream.on('trailers', (late: IncomingHttpHeaders) => exchange.addTrailers(responseTrailers(late)));
    const passed = passOn(stream, exchange, sink, cancel);
    if (still) {
      const stop = watchFlow(stream, sink, still.answer, () => exchange.reset());
      sink.once('close', stop);
    }
    return { status: head.status, ...passed };
  } catch (error) {
    exchange.body.unpipe(stream);
    cancel();
    throw error;
  }
}

/**
 * Resets a stream with CANCEL. Not close(): Node then ends the stream before it resets it, and a body that was cut
 * would arrive as a whole one. A signal destroys it, which only resets.
 */
function cancellation(stream: ClientHttp2Stream): () => void {
  const controller = new AbortController();
  addAbortSignal(controller.signal, stream);
  return () => controller.abort();
}

/** pipe, not pipeline: a cluster may answer before it has read the whole body, and then stops reading it. */
function sendBody(exchange: Exchange, stream: ClientHttp2Stream, cancel: () => void): void {
  exchange.body.once('end', () => {
    if (exchange.bodyIsWhole) stream.end();
    else cancel();
  });
  stream.once('wantTrailers', () => stream.sendTrailers(requestTrailers(exchange.trailers)));
  exchange.body.pipe(stream, { end: false });
  // After pipe, which lets it flow; this only looks on.
  exchange.body.on('data', (chunk: Buffer) => exchange.traffic.receive(chunk.length));
}

/** A client that stops in the middle of its body is told so, or cut off where its answer has begun. */
function watchBody(
  exchange: Exchange,
  stream: ClientHttp2Stream,
  limits: FlowLimits,
  silence: AbortController,
): void {
  const stop = watchFlow(exchange.body, stream, limits, (which) => {
    // A cluster that does not take the body is late with its answer, which has a limit of its own.
    if (which === 'stalled') return;
    if (exchange.headSent) exchange.reset();
    else
      silence.abort(
        new Problem('REQUEST_TIMEOUT', `Nothing of the body came for ${limits.silentMs / 1000} s.`),
      );
  });
  exchange.body.once('end', stop);
  stream.once('close', stop);
}

function passOn(
  stream: ClientHttp2Stream,
  exchange: Exchange,
  sink: NodeJS.WritableStream,
  cancel: () => void,
): Pick<ProxiedAnswer, 'done' | 'finish'> {
  let finished = false;
  const done = new Promise<void>((resolve) => {
    sink.once('close', resolve);
  });
  let complete = false;
  const ended = () => {
    // A reset with CANCEL, or a lost connection, also makes Node say 'end'; only the code tells.
    complete = !stream.rstCode;
    if (complete) sink.end();
  };
  const closed = () => {
    if (!complete && !finished) exchange.reset();
  };
  // An answer without a body may have ended, and its stream closed, between its head and now: nobody would say it again.
  if (stream.readableEnded) ended();
  else stream.once('end', ended);
  if (stream.destroyed) setImmediate(closed);
  else stream.once('close', closed);
  stream.pipe(sink, { end: false });
  stream.on('data', (chunk: Buffer) => exchange.traffic.send(chunk.length));
  return {
    done,
    finish: () => {
      finished = true;
      stream.unpipe(sink);
      sink.end();
      cancel();
    },
  };
}

/**
 * 401 speaks of Guardian's service account, which the caller can do nothing about; passed on, it would make clients
 * throw their own good credential away.
 */
export function assertOfTheCluster(status: number): void {
  if (!(status >= 200 && status <= 599)) {
    throw new Problem('BAD_GATEWAY', 'The cluster answered with a status that HTTP does not know.');
  }
  if (status === 401) {
    throw new Problem('BAD_GATEWAY', "The cluster's API server refused the credential of its own Guardian.");
  }
}

/** Where a redirect leads, seen from outside. @throws Problem BAD_GATEWAY when that is no place in the same cluster */
export function locationOf(
  { status, headers }: { status: number; headers: IncomingHttpHeaders },
  prefix: string,
  path: string,
): string | undefined {
  if (typeof headers.location !== 'string') return undefined;
  const location = outerLocation(headers.location, prefix, path);
  if (location === undefined && status >= 300 && status < 400) {
    throw new Problem('BAD_GATEWAY', 'The cluster redirects to a place outside its Kubernetes API.');
  }
  return location;
}
