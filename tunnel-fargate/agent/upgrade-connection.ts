import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { OutgoingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { Problem } from '../../core/problem/problem.ts';
import { brokenConnection, openPinnedTls, type PinnedTls, type PinnedTlsOptions } from './pinned-tls.ts';

/** An HTTP/1.1 request that asks for another protocol. */
export type UpgradeRequest = {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Whole, with Host, Connection and Upgrade. */
  readonly headers: OutgoingHttpHeaders;
};

export type UpgradeOptions = {
  /** Aborting ends the wait, and later the connection. */
  readonly signal: AbortSignal;
  /** ms from the request to the head of its answer. */
  readonly answerTimeoutMs: number;
};

export type UpgradeAnswer =
  /** 101: from now on `stream` carries the other protocol. Who gets it ends it. */
  | { readonly kind: 'switched'; readonly headers: IncomingHttpHeaders; readonly stream: Duplex }
  /** Any other status, with its body. */
  | { readonly kind: 'refused'; readonly answer: IncomingMessage };

/**
 * What Go's server behind Guardian reads and forgets while it waits for its own answer. Without it that read is still
 * under way when the 101 takes the connection over, yamux's timeout kills the reading side for good, and the connection
 * ends at once (guardian.md §2.3: 50 of 50 without, 0 of 900 with).
 */
const sacrificialByte = Buffer.of(0);

/** Heads of answers beyond this many bytes are refused. */
const maxHeadBytes = 48 * 1024;

/**
 * Sends an upgrade into the cluster, over a yamux stream and a TLS connection of its own: Guardian's HTTP/1.1 answers
 * one request per stream (guardian.md §2.3). Rejects with Problem CLUSTER_NOT_CONNECTED, BAD_GATEWAY or TIMEOUT, or
 * with the reason of the signal; then nothing is left open.
 */
export async function openUpgrade(
  tls: PinnedTlsOptions,
  wanted: UpgradeRequest,
  { signal, answerTimeoutMs }: UpgradeOptions,
): Promise<UpgradeAnswer> {
  signal.throwIfAborted();
  const pinned = await openPinnedTls(tls, 'http/1.1', signal);
  const { socket, stream } = pinned;
  if (socket.destroyed) throw brokenConnection(socket.errored);
  const cut = () => abandon(pinned);
  signal.addEventListener('abort', cut, { once: true });
  socket.once('close', () => {
    signal.removeEventListener('abort', cut);
    stream.destroy();
  });
  try {
    const answer = await answerTo(send(pinned, wanted), signal, answerTimeoutMs);
    // Node would keep the connection for another request, which Guardian does not answer.
    if (answer.kind === 'refused') answer.answer.once('close', () => socket.destroySoon());
    return answer;
  } catch (error) {
    cut();
    throw error;
  }
}

/** RST: neither side's rest is of use to the other. */
function abandon({ socket, stream }: PinnedTls): void {
  stream.reset();
  socket.destroy();
}

/** The head and the byte, each a TLS record of its own, in one data frame: as two, Guardian fails about 1 in 100. */
function send({ socket, stream }: PinnedTls, { method, path, headers }: UpgradeRequest): ClientRequest {
  stream.hold();
  const sent = request({
    createConnection: () => socket,
    method,
    path,
    headers,
    maxHeaderSize: maxHeadBytes,
    insecureHTTPParser: false,
  });
  // 'finish': the head has been written, and encrypted. Written directly: to HTTP it is no part of the request.
  sent.once('finish', () => socket.write(sacrificialByte, () => stream.release()));
  sent.end();
  return sent;
}

function answerTo(sent: ClientRequest, signal: AbortSignal, timeoutMs: number): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    const late = () => settle(() => reject(new Problem('TIMEOUT', 'The cluster did not answer in time.')));
    const timer = setTimeout(late, timeoutMs);
    const aborted = () => settle(() => reject(signal.reason as Error));
    function settle(then: () => void): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      then();
    }
    signal.addEventListener('abort', aborted, { once: true });
    sent.once('upgrade', ({ headers }, stream, early) =>
      settle(() => {
        if (early.length > 0) stream.unshift(early);
        resolve({ kind: 'switched', headers, stream });
      }),
    );
    // Node takes 101 without an upgrade for the head before the answer.
    sent.on('information', ({ statusCode }) => {
      if (statusCode !== 101) return;
      settle(() => reject(new Problem('BAD_GATEWAY', 'The cluster switched to no protocol.')));
    });
    sent.once('response', (answer) => settle(() => resolve({ kind: 'refused', answer })));
    // Stays: the connection's later errors come here, too, and are told by its own 'close'.
    sent.on('error', (cause) => settle(() => reject(badAnswer(cause))));
  });
}

const badAnswer = (cause: Error): Problem =>
  (cause as NodeJS.ErrnoException).code?.startsWith('HPE_') === true
    ? new Problem('BAD_GATEWAY', 'The cluster answered with what is not HTTP/1.1.', { cause })
    : brokenAfter(cause);

function brokenAfter(cause: Error): Problem {
  const problem = brokenConnection(cause);
  return problem.code === 'BAD_GATEWAY'
    ? new Problem('BAD_GATEWAY', 'The connection to the cluster ended before it answered.', { cause })
    : problem;
}
