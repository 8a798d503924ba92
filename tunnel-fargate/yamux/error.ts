/** What a session tells its peer before it goes (spec, "GoAway"): 0 normal, 1 protocol error, 2 internal error. */
export type GoAwayCode = 0 | 1 | 2;

/** The peer broke the protocol. Each ends the session with GoAway 1. */
export type ViolationCode =
  | 'BAD_VERSION'
  | 'BAD_TYPE'
  | 'BAD_STREAM_ID'
  | 'DUPLICATE_STREAM'
  | 'RECV_WINDOW_EXCEEDED'
  | 'WINDOW_OVERFLOW'
  | 'UNEXPECTED_FIN'
  | 'PING_FLOOD';

/** Closed set: callers switch on it, so a code never changes its meaning. */
export type YamuxErrorCode =
  | ViolationCode
  | 'SESSION_CLOSED' // the session is closing or gone; `cause` says why
  | 'SESSION_DESTROYED' // destroy(error) was called; `cause` is that error
  | 'STREAM_RESET' // the peer reset the stream
  | 'STREAM_CLOSED' // the stream was destroyed on our side with a write pending
  | 'STREAM_LIMIT' // open() beyond maxStreams, or beyond the memory for windows
  | 'STREAM_IDS_EXHAUSTED' // open() after the last 32-bit id of our parity
  | 'CLOSE_TIMEOUT' // the peer never answered our FIN
  | 'KEEPALIVE_TIMEOUT' // a ping of ours went unanswered
  | 'WRITE_TIMEOUT' // the transport took no bytes
  | 'REMOTE_GOAWAY' // the peer gave the session up (GoAway 1 or 2)
  | 'TRANSPORT_CLOSED' // end of input between two frames
  | 'TRUNCATED_FRAME' // end of input inside a frame
  | 'TRANSPORT_ERROR'; // the transport failed; `cause` is its error

/** Every error this mux throws, emits or passes to a callback. `goAway` is what the peer is told, if anything. */
export class YamuxError extends Error {
  readonly code: YamuxErrorCode;
  readonly goAway: GoAwayCode | undefined;

  constructor(code: YamuxErrorCode, message: string, options?: { goAway?: GoAwayCode; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'YamuxError';
    this.code = code;
    this.goAway = options?.goAway;
  }
}

/** A breach of the protocol by the peer: the session answers GoAway 1 and ends. */
export function violation(code: ViolationCode, message: string): YamuxError {
  return new YamuxError(code, message, { goAway: 1 });
}
