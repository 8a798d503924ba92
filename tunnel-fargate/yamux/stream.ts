import { Duplex } from 'node:stream';
import { YamuxError } from './error.ts';
import { Inbox } from './inbox.ts';
import type { Channel } from './channel.ts';

type Done = (error?: Error | null) => void;

/**
 * A yamux stream as a Duplex with half-close: 'end' is the peer's FIN, end() is ours, destroy() before both is RST (after
 * end(), and without an error, only when the peer's FIN does not come within 5 s).
 * Writes complete when handed to the transport; those made in one tick (or under cork()) share data frames.
 * Reading gives the peer window credit, for bytes the application has taken only.
 * Errors: STREAM_RESET (the peer's RST), SESSION_CLOSED (the session is gone), CLOSE_TIMEOUT.
 */
export class YamuxStream extends Duplex {
  readonly id: number;
  readonly #channel: Channel;
  readonly #inbox = new Inbox();
  #ended = false;
  #abandoned = false;

  constructor(channel: Channel) {
    // The inbox holds what is unread, in bounded memory; the Readable asks for more only when it has nothing left.
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.id = channel.id;
    this.#channel = channel;
    channel.attach(this.#port());
  }

  /** Abandons both directions at once: RST, no 'error'. */
  reset(): void {
    this.#abandoned = true;
    this.destroy();
  }

  /**
   * Until release(), writes complete at once and wait, to leave in one data frame if they fit one (64 KiB; more, or
   * end(), releases them). cork() cannot do this below TLS: TLS gives its next record only when the last was written.
   * For Guardian's upgrades, whose head and sacrificial byte must share a frame (protocol/guardian.md 2.3).
   */
  hold(): void {
    this.#channel.hold();
  }

  release(): void {
    this.#channel.release();
  }

  override read(size?: number): unknown {
    const bytes: unknown = super.read(size);
    if (bytes !== null) this.#channel.consumed();
    return bytes;
  }

  override _read(): void {
    for (;;) {
      const bytes = this.#inbox.shift();
      if (bytes === undefined) break;
      if (!this.push(bytes)) return;
    }
    if (this.#ended) this.push(null);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#channel.write([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#channel.write(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Done): void {
    this.#channel.finish(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#inbox.clear();
    const reason = error ?? new YamuxError('STREAM_CLOSED', `stream ${this.id} was destroyed`);
    if (error || this.#abandoned) this.#channel.abort(reason);
    else this.#channel.leave(reason);
    done(error);
  }

  #port() {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getters below have a this of their own
    const stream = this;
    return {
      get unread(): number {
        return stream.#inbox.bytes + stream.readableLength;
      },
      get unsent(): number {
        return stream.writableLength;
      },
      data: (bytes: Buffer) => this.#take(bytes),
      end: () => this.#end(),
      fail: (error: YamuxError | undefined) => void this.destroy(error),
    };
  }

  #take(bytes: Buffer): void {
    if (this.#inbox.bytes > 0 || this.readableLength > 0) {
      this.#inbox.add(bytes);
      return;
    }
    this.push(bytes);
    if (this.readableLength === 0) this.#channel.consumed();
  }

  #end(): void {
    this.#ended = true;
    if (this.#inbox.bytes === 0) this.push(null);
  }
}
