import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { Channel } from './channel.ts';
import type { ChannelHost } from './channel.ts';
import { violation, YamuxError } from './error.ts';
import type { GoAwayCode } from './error.ts';
import { encodeHeader, Flag, FrameParser, FrameType } from './frame.ts';
import { Pings } from './ping.ts';
import { Sender } from './sender.ts';
import { YamuxStream } from './stream.ts';
import { endTransport } from './transport.ts';
import { INITIAL_WINDOW, ReceiveWindow, windowCapacity, type WindowPolicy } from './window.ts';
import { unboundedBudget, type WindowBudget } from './window-budget.ts';

const MAX_STREAM_ID = 2 ** 32 - 1;

/** How long a transport may take to end in order: close() waits for the peer's end, a broken session only briefly. */
const CLOSE_GRACE_MS = 5_000;
const FAILURE_GRACE_MS = 1_000;

export type SessionOptions = {
  /** A server opens even ids from 2, a client odd ids from 1. */
  role: 'server' | 'client';
  /** Receive window that we grant on each stream of ours at its start, bytes; default and minimum 262,144. */
  initialWindow?: number;
  /** The same on each stream that the peer opens, who decides how many there are; default and minimum 262,144. */
  acceptedWindow?: number;
  /**
   * What a receive window may grow to while it is what holds the stream up, bytes: it doubles at two updates within
   * four round trips. Default: no growth. With it a session sends one ping at its first stream, to know the round trip.
   */
  maxWindow?: number;
  /** Pays for the receive windows of all streams; without room for 262,144 a stream is refused. Default: unbounded. */
  windowBudget?: WindowBudget;
  /** Streams the peer opened for which there is no 'stream' listener yet; RST beyond. Default 1000. */
  acceptBacklog?: number;
  /** Live streams of both sides: RST beyond, and open() throws STREAM_LIMIT. Default 4096. */
  maxStreams?: number;
  /** Our own keepalive, ms; undefined: off. No ping is sent while one is unanswered. */
  pingIntervalMs?: number | undefined;
  /** A ping of ours unanswered for this long ends the session with KEEPALIVE_TIMEOUT, ms; default 10,000. */
  pingTimeoutMs?: number;
  /** The peer's pings are answered after this delay and up to 100 ms more, ms; default 0: at once. More than 64 held back at once: PING_FLOOD. */
  pongDelayMs?: number;
  /** Our FIN without the peer's, and nothing heard on the stream, for this long: CLOSE_TIMEOUT and RST, ms; default 300,000. */
  closeTimeoutMs?: number;
  /** A transport that takes nothing for this long ends the session with WRITE_TIMEOUT, ms; default 30,000. */
  writeTimeoutMs?: number;
  /** Monotonic clock, ms. */
  now?: () => number;
};

type SessionEvents = {
  /** A stream the peer opened; it is ACKed on delivery. */
  stream: [stream: YamuxStream];
  /** The session is over, exactly once; the reason is undefined after close() or destroy() of our own. */
  close: [reason: YamuxError | undefined];
  newListener: [event: string | symbol, listener: (...args: unknown[]) => void];
};

/** How to leave the transport: in order, for a peer that is alive, or at once. */
type Manner = 'end' | 'destroy';

/**
 * One yamux session (hashicorp/yamux spec, version 0) over any Duplex. Streams still open when it ends are destroyed
 * with SESSION_CLOSED; end them before close() to have their last bytes delivered.
 */
export class YamuxSession extends EventEmitter<SessionEvents> {
  readonly #transport: Duplex;
  readonly #role: 'server' | 'client';
  /** By who opens the stream. */
  readonly #windows: Readonly<Record<'ours' | 'theirs', WindowPolicy>>;
  readonly #acceptBacklog: number;
  readonly #maxStreams: number;
  readonly #parser: FrameParser;
  readonly #sender: Sender;
  readonly #pings: Pings;
  readonly #host: ChannelHost;
  readonly #channels = new Map<number, Channel>();
  /** Opened by the peer, before anyone listened. */
  readonly #backlog = new Map<Channel, YamuxStream>();
  /** Whose payload is being read; undefined: nobody's, it is dropped. */
  #target: Channel | undefined;
  #finAfterPayload = false;
  #nextId: number;
  /** Who said GoAway: we refuse the peer's streams, or the peer ours. */
  #localGoAway = false;
  #remoteGoAway = false;
  #closed = false;
  #closing: Promise<void> | undefined;

  /** Throws RangeError for a window that the wire cannot express. */
  constructor(transport: Duplex, options: SessionOptions) {
    super();
    const now = options.now ?? (() => performance.now());
    this.#transport = transport;
    this.#role = options.role;
    this.#nextId = options.role === 'server' ? 2 : 1;
    const policy = (start = INITIAL_WINDOW): WindowPolicy => ({
      start: windowCapacity(start),
      max: windowCapacity(options.maxWindow ?? INITIAL_WINDOW),
      budget: options.windowBudget ?? unboundedBudget,
      now,
      rttMs: () => this.#pings.shortestRttMs,
    });
    this.#windows = { ours: policy(options.initialWindow), theirs: policy(options.acceptedWindow) };
    this.#acceptBacklog = options.acceptBacklog ?? 1000;
    this.#maxStreams = options.maxStreams ?? 4096;
    this.#parser = new FrameParser({
      onHeader: (type, flags, id, length) => this.#onHeader(type, flags, id, length),
      onPayload: (bytes, left) => this.#onPayload(bytes, left),
    });
    this.#sender = new Sender(transport, {
      writeTimeoutMs: options.writeTimeoutMs ?? 30_000,
      now,
      onStalled: () => this.#lose(new YamuxError('WRITE_TIMEOUT', 'the transport takes no bytes'), 'destroy'),
      onRelieved: () => void transport.resume(),
    });
    this.#pings = new Pings({
      intervalMs: options.pingIntervalMs,
      timeoutMs: options.pingTimeoutMs ?? 10_000,
      pongDelayMs: options.pongDelayMs ?? 0,
      now,
      send: (frame) => this.#sender.control(frame),
      onTimeout: (error) => this.#lose(error, 'destroy'),
    });
    this.#host = {
      closeTimeoutMs: options.closeTimeoutMs ?? 300_000,
      now,
      signal: (channel) => this.#sender.signal(channel),
      send: (channel) => this.#sender.send(channel),
      reset: (channel) => this.#reset(channel.id),
      forget: (channel) => this.#forget(channel),
    };
    this.on('newListener', (event) => {
      if (event === 'stream' && this.#backlog.size > 0) process.nextTick(() => this.#deliverBacklog());
    });
    this.#listen();
  }

  /** Live streams, the peer's undelivered ones included. */
  get streamCount(): number {
    return this.#channels.size;
  }

  /** True as soon as no stream can be opened any more, by either side. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The last measured round trip of a ping of ours, ms. */
  get rttMs(): number | undefined {
    return this.#pings.rttMs;
  }

  /**
   * Opens a stream; its SYN leaves in this tick, writes need not wait for the ACK.
   * Throws SESSION_CLOSED (also after GoAway, either way), STREAM_LIMIT, STREAM_IDS_EXHAUSTED.
   */
  open(): YamuxStream {
    if (this.#closed || this.#localGoAway || this.#remoteGoAway) {
      throw new YamuxError('SESSION_CLOSED', 'the session takes no new streams');
    }
    if (this.#channels.size >= this.#maxStreams) {
      throw new YamuxError('STREAM_LIMIT', `the session has ${this.#maxStreams} live streams`);
    }
    if (this.#nextId > MAX_STREAM_ID) {
      throw new YamuxError('STREAM_IDS_EXHAUSTED', 'all stream ids of this session are used');
    }
    const channel = this.#createChannel(this.#nextId, 'ours');
    if (channel === undefined) throw new YamuxError('STREAM_LIMIT', 'no memory is left for another window');
    this.#nextId += 2;
    channel.open();
    return new YamuxStream(channel);
  }

  /** The round trip in ms. Rejects with SESSION_CLOSED when the session ends first. */
  ping(): Promise<number> {
    if (this.#closed) return Promise.reject(new YamuxError('SESSION_CLOSED', 'the session is closed'));
    return new Promise((resolve, reject) => {
      this.#pings.ask((outcome) => {
        if (typeof outcome === 'number') resolve(outcome);
        else reject(outcome);
      });
    });
  }

  /** Tells the peer to open no more streams and refuses those it opens still. Live streams go on. */
  goAway(code: GoAwayCode): void {
    if (this.#closed) return;
    this.#localGoAway = true;
    this.#sender.control(encodeHeader(FrameType.goAway, Flag.none, 0, code));
  }

  /**
   * Ends the transport in order: what is queued leaves, the unread is drained, the peer's end awaited for 5 s.
   * Sends no GoAway: after GoAway 0 Guardian hangs or exits (protocol/guardian.md 2.4 rule 6). Resolves when all is closed.
   */
  close(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    if (this.#closed) {
      this.#closing = endTransport(this.#transport, CLOSE_GRACE_MS);
      return this.#closing;
    }
    this.#sender.flush();
    // A write callback inside may have ended the session.
    if (this.closed) return this.close();
    this.#abandonStreams(undefined);
    this.#closing = endTransport(this.#transport, CLOSE_GRACE_MS).then(
      () => void this.emit('close', undefined),
    );
    return this.#closing;
  }

  /** Ends session and transport at once; 'close' carries the error, as SESSION_DESTROYED unless it is a YamuxError. */
  destroy(error?: Error): void {
    if (this.#closed) {
      this.#transport.destroy();
      return;
    }
    const reason =
      error === undefined || error instanceof YamuxError
        ? error
        : new YamuxError('SESSION_DESTROYED', error.message, { cause: error });
    this.#lose(reason, 'destroy');
  }

  #listen(): void {
    const transport = this.#transport;
    transport.on('data', (chunk: Buffer) => this.#onData(chunk));
    transport.on('end', () => this.#lose(this.#cutOff(), 'end'));
    transport.on('close', () => this.#lose(this.#cutOff(), 'destroy'));
    transport.on('error', (cause: Error) => {
      this.#lose(
        new YamuxError('TRANSPORT_ERROR', `the transport failed: ${cause.message}`, { cause }),
        'destroy',
      );
    });
    if (transport.destroyed || transport.readableEnded || transport.writableEnded) {
      process.nextTick(() => this.#lose(this.#cutOff(), 'destroy'));
    }
  }

  #cutOff(): YamuxError {
    return this.#parser.midFrame
      ? new YamuxError('TRUNCATED_FRAME', 'the transport ended inside a frame')
      : new YamuxError('TRANSPORT_CLOSED', 'the transport ended');
  }

  #onData(chunk: Buffer): void {
    // After the end the transport is still read, so that its close is a FIN and not an RST.
    if (this.#closed) return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof YamuxError && error.goAway !== undefined)) {
        // A listener of ours threw inside: the frame is lost and with it the session.
        this.destroy(error instanceof Error ? error : new Error('a listener failed', { cause: error }));
        throw error;
      }
      this.#lose(error, 'end');
    }
    if (this.#sender.isCrowded) this.#transport.pause();
  }

  #onHeader(type: FrameType, flags: number, id: number, length: number): void {
    if (type === FrameType.ping) this.#pings.receive(flags, length);
    else if (type === FrameType.goAway) this.#onGoAway(length);
    else this.#onStreamFrame(type, flags, id, length);
  }

  #onPayload(bytes: Buffer, left: number): void {
    this.#target?.receive(bytes);
    if (left === 0 && this.#finAfterPayload) this.#target?.receiveFin();
  }

  #onGoAway(code: number): void {
    this.#remoteGoAway = true;
    if (code !== 0)
      this.#lose(new YamuxError('REMOTE_GOAWAY', `the peer ended the session with code ${code}`), 'end');
  }

  #onStreamFrame(type: FrameType, flags: number, id: number, length: number): void {
    this.#target = undefined;
    if (id === 0) throw violation('BAD_STREAM_ID', 'a stream frame with the id of the session');
    const isReset = (flags & Flag.rst) !== 0;
    const isFinal = (flags & Flag.fin) !== 0;
    const opened = (flags & Flag.syn) !== 0 && !isReset ? this.#admit(id) : undefined;
    const channel = this.#channels.get(id);
    // Unknown ids are streams that are over here while their frames were still on the way.
    if (channel === undefined) return;
    if (isReset) {
      channel.fail(new YamuxError('STREAM_RESET', `the peer reset stream ${id}`));
      return;
    }
    const hasPayload = type === FrameType.data && length > 0;
    if (type === FrameType.data) channel.checkData(length);
    else channel.updateWindow(length);
    if (isFinal && !hasPayload) channel.receiveFin();
    this.#finAfterPayload = isFinal;
    this.#target = channel;
    if (opened !== undefined) this.#offer(channel, opened);
  }

  /** Takes the peer's SYN, or refuses it with RST. Throws BAD_STREAM_ID, DUPLICATE_STREAM. */
  #admit(id: number): YamuxStream | undefined {
    const isOfPeer = (id % 2 === 1) === (this.#role === 'server');
    if (!isOfPeer) throw violation('BAD_STREAM_ID', `stream ${id} is not the peer's to open`);
    if (this.#channels.has(id)) throw violation('DUPLICATE_STREAM', `stream ${id} is open already`);
    const isFull = this.#channels.size >= this.#maxStreams || this.#backlog.size >= this.#acceptBacklog;
    const channel = isFull || this.#localGoAway ? undefined : this.#createChannel(id, 'theirs');
    if (channel !== undefined) return new YamuxStream(channel);
    this.#reset(id);
    return undefined;
  }

  #offer(channel: Channel, stream: YamuxStream): void {
    this.#backlog.set(channel, stream);
    this.#deliverBacklog();
  }

  #deliverBacklog(): void {
    for (const [channel, stream] of this.#backlog) {
      if (this.listenerCount('stream') === 0) return;
      this.#backlog.delete(channel);
      channel.accept();
      this.emit('stream', stream);
    }
  }

  /** Undefined when no memory is left for its window. */
  #createChannel(id: number, origin: 'ours' | 'theirs'): Channel | undefined {
    const policy = this.#windows[origin];
    const window = ReceiveWindow.within(policy);
    if (window === undefined) return undefined;
    if (policy.max > policy.start) this.#pings.measure();
    const channel = new Channel(id, this.#host, window, origin);
    this.#channels.set(id, channel);
    return channel;
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel.id);
    this.#backlog.delete(channel);
  }

  #reset(id: number): void {
    this.#sender.control(encodeHeader(FrameType.windowUpdate, Flag.rst, id, 0));
  }

  /** The session is over for a reason that is not close(); only the first one counts. */
  #lose(reason: YamuxError | undefined, manner: Manner): void {
    if (this.#closed) return;
    this.#abandonStreams(reason);
    process.nextTick(() => this.emit('close', reason));
    if (manner === 'destroy') {
      this.#transport.destroy();
      return;
    }
    if (reason?.goAway !== undefined && this.#transport.writable) {
      this.#transport.write(encodeHeader(FrameType.goAway, Flag.none, 0, reason.goAway));
    }
    void endTransport(this.#transport, FAILURE_GRACE_MS);
  }

  #abandonStreams(reason: YamuxError | undefined): void {
    this.#closed = true;
    this.#parser.stop();
    this.#sender.stop();
    const lost = new YamuxError('SESSION_CLOSED', reason?.message ?? 'the session was closed', {
      cause: reason,
    });
    this.#pings.stop(lost);
    for (const channel of this.#channels.values()) channel.fail(lost);
  }
}
