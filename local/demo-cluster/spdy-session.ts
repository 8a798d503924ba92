import { Duplex } from 'node:stream';
import { SpdyHeaders } from './spdy-headers.ts';

const types = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7 } as const;
const finFlag = 1;
const maxStreams = 256;
const statuses = { protocolError: 1, refusedStream: 3, cancel: 5 } as const;

function control(type: number, payload: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8003, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(payload.length, 4);
  head[4] = flags;
  return Buffer.concat([head, payload]);
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

type Send = (frame: Buffer, done: () => void) => void;

/** A stream that the client opened. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #send: Send;
  readonly #onRead: () => void;

  constructor(id: number, headers: ReadonlyMap<string, string>, send: Send, onRead: () => void) {
    super({ allowHalfOpen: true });
    this.id = id;
    this.headers = headers;
    this.#send = send;
    this.#onRead = onRead;
  }

  override _read(): void {
    this.#onRead();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send(this.#data(chunk, 0), done);
  }

  override _final(done: () => void): void {
    this.#send(this.#data(Buffer.alloc(0), finFlag), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.writableFinished) {
      this.#send(control(types.rstStream, words(this.id, statuses.cancel)), () => undefined);
    }
    done(error);
  }

  #data(bytes: Buffer, flags: number): Buffer {
    const head = words(this.id, bytes.length);
    head[4] = flags;
    return Buffer.concat([head, bytes]);
  }
}

export type SpdyOptions = {
  /** Sends bytes to the client; `done` when there is room for more. */
  readonly send: Send;
  readonly onStream: (stream: SpdyStream) => void;
  /** A stream has more than its reader takes: call `resume` when the reader has caught up. */
  readonly pause: () => void;
  readonly resume: () => void;
};

/**
 * The server's side of SPDY/3.1 as kubectl speaks it for port-forward (draft-mbelshe-httpbis-spdy-00; no flow control, as
 * moby/spdystream has none): the client opens streams, each is accepted at once; pings are answered.
 */
export class SpdySession {
  readonly #options: SpdyOptions;
  readonly #headers = new SpdyHeaders();
  readonly #streams = new Map<number, SpdyStream>();
  #held = Buffer.alloc(0);
  #turn: Promise<void> = Promise.resolve();

  constructor(options: SpdyOptions) {
    this.#options = options;
  }

  /** Takes what came, in order. Rejects for what is not SPDY/3.1. */
  receive(bytes: Buffer): Promise<void> {
    this.#turn = this.#turn.then(() => this.#take(bytes));
    return this.#turn;
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.destroy();
    this.#headers.close();
  }

  async #take(bytes: Buffer): Promise<void> {
    this.#held = Buffer.concat([this.#held, bytes]);
    for (;;) {
      if (this.#held.length < 8) return;
      const first = this.#held.readUInt32BE(0);
      const flags = this.#held[4] ?? 0;
      const size = this.#held.readUIntBE(5, 3);
      if (this.#held.length < 8 + size) return;
      const payload = this.#held.subarray(8, 8 + size);
      this.#held = this.#held.subarray(8 + size);
      if (first < 0x80000000) this.#onData(first, payload, flags);
      else if (first >>> 16 !== 0x8003) throw new Error('this is not SPDY/3.1');
      else await this.#onControl(first & 0xffff, payload, flags);
    }
  }

  #onData(id: number, bytes: Buffer, flags: number): void {
    const stream = this.#streams.get(id);
    if (!stream) return;
    if (bytes.length > 0 && !stream.push(Buffer.from(bytes))) this.#options.pause();
    if (flags & finFlag) stream.push(null);
  }

  async #onControl(type: number, payload: Buffer, flags: number): Promise<void> {
    if (type === types.ping) this.#send(control(type, payload));
    else if (type === types.rstStream) this.#streams.get(payload.readUInt32BE(0))?.destroy();
    else if (type === types.synStream) await this.#onOpen(payload, flags);
    // SETTINGS, HEADERS, WINDOW_UPDATE and GOAWAY ask nothing of a server without flow control.
  }

  async #onOpen(payload: Buffer, flags: number): Promise<void> {
    const id = payload.readUInt32BE(0) & 0x7fffffff;
    // Read in any case: the compression goes through all blocks.
    const headers = await this.#headers.read(payload.subarray(10));
    if (this.#streams.size >= maxStreams || this.#streams.has(id) || id % 2 === 0) {
      this.#send(control(types.rstStream, words(id, statuses.refusedStream)));
      return;
    }
    const stream = new SpdyStream(id, headers, this.#options.send, () => this.#options.resume());
    this.#streams.set(id, stream);
    stream.on('close', () => this.#streams.delete(id));
    stream.on('error', () => undefined);
    const reply = await this.#headers.write(new Map());
    this.#send(control(types.synReply, Buffer.concat([words(id), reply])));
    if (flags & finFlag) stream.push(null);
    this.#options.onStream(stream);
  }

  #send(frame: Buffer): void {
    this.#options.send(frame, () => undefined);
  }
}
