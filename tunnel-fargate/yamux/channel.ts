import { violation, YamuxError } from './error.ts';
import { encodeHeader, Flag, FrameType } from './frame.ts';
import { type ReceiveWindow, SendWindow } from './window.ts';

/** Outgoing data frames are at most this long, so that no stream keeps the others waiting. */
export const MAX_DATA_BYTES = 65_536;

/** How long a stream that nobody reads any more waits for its peer's FIN before it is reset, ms. */
export const LINGER_MS = 5_000;

type WireState = 'open' | 'localClosed' | 'remoteClosed' | 'closed';
type WireEvent = 'finSent' | 'finReceived' | 'gone';

/** Spec, "Closing a Stream": half-close each way, FIN once each way. No entry: the event must not happen. */
const TRANSITIONS: Record<WireState, Partial<Record<WireEvent, WireState>>> = {
  open: { finSent: 'localClosed', finReceived: 'remoteClosed', gone: 'closed' },
  localClosed: { finReceived: 'closed', gone: 'closed' },
  remoteClosed: { finSent: 'closed', gone: 'closed' },
  closed: {},
};

/** The application's end of a channel. */
export type ChannelPort = {
  /** Bytes passed to data() and not yet read by the application. */
  readonly unread: number;
  /** Bytes the application has written that the channel has not yet completed. */
  readonly unsent: number;
  data(bytes: Buffer): void;
  end(): void;
  /** The stream is over; undefined when nobody has seen it yet. */
  fail(error: YamuxError | undefined): void;
};

/** What a channel asks of its session. */
export type ChannelHost = {
  readonly closeTimeoutMs: number;
  now(): number;
  /** takeSignal() has something to send. */
  signal(channel: Channel): void;
  /** takeTurn() has something to send. */
  send(channel: Channel): void;
  reset(channel: Channel): void;
  /** Both directions are over: the id is dead. */
  forget(channel: Channel): void;
};

export type WriteFrame = (bytes: Buffer) => void;
type Done = (error?: Error) => void;

/** One stream as the wire sees it: its state, its two windows, what waits to be sent. Knows nothing of node streams. */
export class Channel {
  readonly id: number;
  /** Whether the application has the stream: if not, nobody listens for its errors. */
  delivered: boolean;
  readonly #host: ChannelHost;
  readonly #sendWindow = new SendWindow();
  readonly #receiveWindow: ReceiveWindow;
  #port: ChannelPort | undefined;
  #state: WireState = 'open';
  /** SYN or ACK, to leave with the next window update: each goes exactly once. */
  #greeting: number = Flag.none;
  #synUnsent = false;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** The write in progress: its size and callback. */
  #writeBytes = 0;
  #written: Done | undefined;
  #finished: Done | undefined;
  #held = false;
  #lastHeard = 0;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param window its memory is given back once the application is done with the stream. */
  constructor(id: number, host: ChannelHost, window: ReceiveWindow, origin: 'ours' | 'theirs') {
    this.id = id;
    this.#host = host;
    this.#receiveWindow = window;
    this.delivered = origin === 'ours';
  }

  attach(port: ChannelPort): void {
    this.#port = port;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  // What the session drives.

  /** Announces our stream with SYN. */
  open(): void {
    this.#synUnsent = true;
    this.#greet(Flag.syn);
  }

  /** Takes the peer's stream with ACK. */
  accept(): void {
    this.delivered = true;
    this.#greet(Flag.ack);
  }

  /** Judges a data frame by its header. Throws RECV_WINDOW_EXCEEDED. */
  checkData(length: number): void {
    this.#lastHeard = this.#host.now();
    this.#receiveWindow.check(length);
  }

  /**
   * Payload of a frame that passed checkData(). After the peer's FIN it is dropped: hashicorp's Write and Close race,
   * and Guardian closes while it still copies, so a frame may honestly overtake.
   */
  receive(bytes: Buffer): void {
    this.#receiveWindow.receive(bytes.length);
    if (this.#isReceiving()) this.#port?.data(bytes);
  }

  /** Throws WINDOW_OVERFLOW. */
  updateWindow(delta: number): void {
    this.#lastHeard = this.#host.now();
    this.#sendWindow.add(delta);
    if (this.#hasTurn()) this.#host.send(this);
  }

  /** The peer's FIN. Throws UNEXPECTED_FIN for a second one. */
  receiveFin(): void {
    if (TRANSITIONS[this.#state].finReceived === undefined) {
      throw violation('UNEXPECTED_FIN', `a second FIN on stream ${this.id}`);
    }
    this.#move('finReceived');
    this.#receiveWindow.end(this.#unread());
    this.#port?.end();
  }

  /** The stream ends without a word to the peer: its RST, or the loss of the session. */
  fail(error: YamuxError): void {
    this.#move('gone');
    this.#port?.fail(this.delivered ? error : undefined);
    this.#drop(error);
  }

  /** The window update that is due, with SYN or ACK if they are; undefined when none is. */
  takeSignal(): Buffer | undefined {
    if (this.#state === 'closed') return undefined;
    const greeting = this.#greeting;
    this.#greeting = Flag.none;
    this.#synUnsent = false;
    if (greeting !== Flag.none) {
      return encodeHeader(FrameType.windowUpdate, greeting, this.id, this.#openingCredit());
    }
    if (!this.#isCreditDue()) return undefined;
    const credit = this.#receiveWindow.renew(this.#unread());
    return encodeHeader(FrameType.windowUpdate, Flag.none, this.id, credit);
  }

  /** Sends one data frame at most, or FIN. Returns whether the channel wants another turn. */
  takeTurn(write: WriteFrame): boolean {
    if (this.#held) return false;
    const limit = Math.min(MAX_DATA_BYTES, this.#sendWindow.available);
    this.#gather(limit);
    this.#sendData(Math.min(limit, this.#queuedBytes), write);
    if (this.#queuedBytes === 0) {
      this.#completeWrite();
      this.#sendFin(write);
    }
    return this.#hasTurn();
  }

  // What the stream drives.

  /** One write at a time; `done` comes when its last byte was handed to the transport. */
  write(chunks: readonly Buffer[], done: Done): void {
    if (this.#state === 'closed') {
      done(new YamuxError('STREAM_CLOSED', `stream ${this.id} is closed`));
      return;
    }
    this.#writeBytes = 0;
    for (const chunk of chunks) {
      if (chunk.length > 0) this.#queue.push(chunk);
      this.#writeBytes += chunk.length;
    }
    this.#queuedBytes += this.#writeBytes;
    this.#written = done;
    if (this.#held && this.#queuedBytes <= MAX_DATA_BYTES) {
      this.#completeWrite();
      return;
    }
    this.#held = false;
    if (this.#hasTurn()) this.#host.send(this);
  }

  /** FIN, once all that was written has left. */
  finish(done: Done): void {
    if (this.#state === 'closed') {
      done();
      return;
    }
    this.#finished = done;
    this.#held = false;
    this.#host.send(this);
  }

  /** Until release(): writes complete at once and wait, as long as they fit one frame. */
  hold(): void {
    if (this.#queuedBytes > MAX_DATA_BYTES) return;
    this.#held = true;
    this.#completeWrite();
  }

  release(): void {
    this.#held = false;
    if (this.#hasTurn()) this.#host.send(this);
  }

  /** The application has read: returns credit once it is worth a frame. */
  consumed(): void {
    if (this.delivered && this.#isCreditDue()) this.#host.signal(this);
  }

  /**
   * The application is done with the stream. Where our FIN has left, the peer's is awaited for a while, and what still
   * comes is dropped: hashicorp's reader forgets what it has not read yet when it sees RST.
   */
  leave(error: Error): void {
    this.#receiveWindow.release();
    if (this.#state !== 'localClosed') {
      this.abort(error);
      return;
    }
    this.#port = undefined;
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.abort(error), Math.min(LINGER_MS, this.#host.closeTimeoutMs));
    this.#closeTimer.unref();
  }

  /** RST, unless the stream is over or the peer has never heard of it. */
  abort(error: Error): void {
    this.#receiveWindow.release();
    if (this.#state !== 'closed') {
      if (!this.#synUnsent) this.#host.reset(this);
      this.#move('gone');
    }
    this.#drop(error);
  }

  #greet(flag: number): void {
    this.#greeting = flag;
    this.#host.signal(this);
  }

  #isReceiving(): boolean {
    return this.#state === 'open' || this.#state === 'localClosed';
  }

  /** None after the peer's FIN, for its side of the stream may be gone; none when nobody reads any more. */
  #takesCredit(): boolean {
    return this.#isReceiving() && this.#port !== undefined;
  }

  #isCreditDue(): boolean {
    return this.#takesCredit() && this.#receiveWindow.isDue(this.#unread());
  }

  #openingCredit(): number {
    if (!this.#takesCredit()) return 0;
    this.#receiveWindow.open();
    return this.#receiveWindow.topUp(this.#unread());
  }

  #unread(): number {
    return this.#port?.unread ?? 0;
  }

  #hasTurn(): boolean {
    if (this.#state === 'closed') return false;
    if (this.#queuedBytes > 0) return this.#sendWindow.available > 0;
    return this.#written !== undefined || this.#finished !== undefined;
  }

  /** Completes writes early while the application has more waiting, so that small ones share a frame. */
  #gather(limit: number): void {
    let before = -1;
    while (
      this.#queuedBytes < limit &&
      this.#queuedBytes > before &&
      (this.#port?.unsent ?? 0) > this.#writeBytes
    ) {
      before = this.#queuedBytes;
      this.#completeWrite();
    }
  }

  #sendData(bytes: number, write: WriteFrame): void {
    if (bytes === 0 || this.#state === 'closed') return;
    this.#sendWindow.take(bytes);
    this.#queuedBytes -= bytes;
    write(encodeHeader(FrameType.data, Flag.none, this.id, bytes));
    let left = bytes;
    let taken = 0;
    for (const chunk of this.#queue) {
      if (chunk.length > left) {
        if (left > 0) {
          write(chunk.subarray(0, left));
          this.#queue[taken] = chunk.subarray(left);
        }
        break;
      }
      write(chunk);
      left -= chunk.length;
      taken += 1;
    }
    this.#queue.splice(0, taken);
  }

  /** FIN travels alone: hashicorp's peer may report the end before it reads the payload of the same frame. */
  #sendFin(write: WriteFrame): void {
    const finished = this.#finished;
    if (finished === undefined || this.#queuedBytes > 0 || TRANSITIONS[this.#state].finSent === undefined)
      return;
    this.#finished = undefined;
    write(encodeHeader(FrameType.windowUpdate, Flag.fin, this.id, 0));
    this.#move('finSent');
    if (this.#isReceiving()) {
      this.#lastHeard = this.#host.now();
      this.#awaitFin(this.#host.closeTimeoutMs);
    }
    finished();
  }

  /** A stream that still hears from its peer is a half-closed one at work; a silent one has lost it. */
  #awaitFin(delayMs: number): void {
    this.#closeTimer = setTimeout(() => {
      const left = this.#lastHeard + this.#host.closeTimeoutMs - this.#host.now();
      if (left >= 1) this.#awaitFin(left);
      else this.#port?.fail(new YamuxError('CLOSE_TIMEOUT', `no FIN for stream ${this.id}`));
    }, delayMs);
    this.#closeTimer.unref();
  }

  #completeWrite(): void {
    const written = this.#written;
    this.#written = undefined;
    this.#writeBytes = 0;
    written?.();
  }

  #move(event: WireEvent): void {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) return;
    this.#state = next;
    if (next !== 'closed') return;
    clearTimeout(this.#closeTimer);
    this.#host.forget(this);
  }

  #drop(error: Error): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    const written = this.#written;
    const finished = this.#finished;
    this.#written = undefined;
    this.#finished = undefined;
    written?.(error);
    finished?.(error);
  }
}
