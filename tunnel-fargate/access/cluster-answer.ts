import {
  constants,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { Problem } from '../../core/problem/problem.ts';

export type AnswerHead = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders & OutgoingHttpHeaders;
  /** Nothing follows. */
  readonly complete: boolean;
};

/** The cluster refused the stream unprocessed (RFC 9113 §8.7): the same request may be sent again. */
export class RefusedStream extends Error {
  override readonly name = 'RefusedStream';
}

/** The stream ended before any answer: whether the cluster acted on the request, nobody knows. */
export class Unanswered extends Problem {
  constructor() {
    super('BAD_GATEWAY', 'The connection to the cluster ended before it answered.');
  }
}

type Options = {
  /** Aborting rejects with the signal's reason. The stream is left to the caller. */
  readonly signal: AbortSignal;
  /** ms without an answer, or a call of `touch`, before TIMEOUT; undefined: never. */
  readonly timeoutMs: number | undefined;
  /** Called with a function that starts the time anew. */
  readonly onTouch?: (touch: () => void) => void;
  /** An informational answer that goes before the answer itself (RFC 9110 §15.2). */
  readonly onInformation?: (status: number, headers: IncomingHttpHeaders) => void;
};

/** Informational answers to one request that are passed on; RFC 9110 sets no end to them. */
const maxInformation = 64;

/**
 * Waits for the head of a cluster's answer.
 * Rejects with Problem TIMEOUT, {@link Unanswered}, {@link RefusedStream}, or the reason of the signal.
 */
export function answerHead(
  stream: ClientHttp2Stream,
  { signal, timeoutMs, onTouch, onInformation }: Options,
): Promise<AnswerHead> {
  return new Promise((resolve, reject) => {
    const late = () => settle(() => reject(new Problem('TIMEOUT', 'The cluster did not answer in time.')));
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    const aborted = () => settle(() => reject(signal.reason as Error));
    const closed = () =>
      settle(() =>
        reject(stream.rstCode === constants.NGHTTP2_REFUSED_STREAM ? new RefusedStream() : new Unanswered()),
      );
    const answered = (headers: IncomingHttpHeaders, flags: number) =>
      settle(() =>
        resolve({
          status: Number(headers[':status']),
          headers,
          complete: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
        }),
      );
    let told = 0;
    const informed = (headers: IncomingHttpHeaders) => {
      told += 1;
      if (told <= maxInformation) onInformation?.(Number(headers[':status']), headers);
    };
    function settle(then: () => void): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      stream.off('response', answered).off('close', closed).off('headers', informed);
      then();
    }
    stream.once('response', answered).once('close', closed).on('headers', informed);
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
    else if (stream.destroyed) closed();
    onTouch?.(() => timer?.refresh());
  });
}
