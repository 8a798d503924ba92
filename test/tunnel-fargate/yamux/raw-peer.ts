import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import { YamuxSession } from '../../../tunnel-fargate/yamux/session.ts';
import type { SessionOptions } from '../../../tunnel-fargate/yamux/session.ts';
import type { YamuxError } from '../../../tunnel-fargate/yamux/error.ts';

export const DATA = 0;
export const UPDATE = 1;
export const PING = 2;
export const GOAWAY = 3;
export const SYN = 1;
export const ACK = 2;
export const FIN = 4;
export const RST = 8;

export type Frame = { type: number; flags: number; id: number; length: number; payload: Buffer };

/** Spelled out by hand, not with the code under test. */
export function raw(
  type: number,
  flags: number,
  id: number,
  length: number,
  payload = Buffer.alloc(0),
): Buffer {
  const header = [0, type, flags >> 8, flags & 255];
  for (const word of [id, length])
    header.push(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255);
  return Buffer.concat([Buffer.from(header), payload]);
}

/** Waits for a condition without guessing a time; jest's timeout is the bound. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** One side of an in-memory link, speaking bytes; the other side is a session under test. */
export class RawPeer {
  readonly frames: Frame[] = [];
  /** The whole input, for what is not yet a frame. */
  ended = false;
  readonly #side: Duplex;
  #rest = Buffer.alloc(0);

  constructor(side: Duplex) {
    this.#side = side;
    side.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      this.#cut();
    });
    side.on('end', () => {
      this.ended = true;
    });
    side.on('error', () => undefined);
  }

  send(...frames: Buffer[]): void {
    this.#side.write(Buffer.concat(frames));
  }

  end(): void {
    this.#side.end();
  }

  pause(): void {
    this.#side.pause();
  }

  resume(): void {
    this.#side.resume();
  }

  sent(type: number, flags?: number, id?: number): Frame[] {
    return this.frames.filter(
      (frame) =>
        frame.type === type &&
        (flags === undefined || frame.flags === flags) &&
        (id === undefined || frame.id === id),
    );
  }

  /** Waits for the nth such frame. */
  async sees(type: number, flags?: number, id?: number, count = 1): Promise<Frame> {
    await until(() => this.sent(type, flags, id).length >= count);
    const frame = this.sent(type, flags, id)[count - 1];
    if (frame === undefined) throw new Error('not seen');
    return frame;
  }

  /** A ping's answer proves that all before it was handled and all answers to it have left. */
  async settled(): Promise<void> {
    const opaque = 0xfeed0000 + this.frames.length;
    this.send(raw(PING, SYN, 0, opaque));
    await until(() => this.sent(PING, ACK).some((frame) => frame.length === opaque));
  }

  #cut(): void {
    while (this.#rest.length >= 12) {
      const type = this.#rest.readUInt8(1);
      const length = this.#rest.readUInt32BE(8);
      const size = 12 + (type === DATA ? length : 0);
      if (this.#rest.length < size) return;
      this.frames.push({
        type,
        flags: this.#rest.readUInt16BE(2),
        id: this.#rest.readUInt32BE(4),
        length,
        payload: this.#rest.subarray(12, size),
      });
      this.#rest = this.#rest.subarray(size);
    }
  }
}

export type Rig = {
  peer: RawPeer;
  session: YamuxSession;
  transport: Duplex;
  closed: Promise<YamuxError | undefined>;
};

/** The longest that a timer waits: a stream that a test leaves half-closed does not fail in another test's time. */
const foreverMs = 2 ** 31 - 1;

/** A session facing raw bytes. The session is the server: it opens even ids, the peer odd ones. */
export function rig(options: Partial<SessionOptions> = {}, link: { highWaterMark?: number } = {}): Rig {
  const [ours, theirs] = duplexPair(link);
  const session = new YamuxSession(ours, { role: 'server', closeTimeoutMs: foreverMs, ...options });
  const closed = once(session, 'close').then(([reason]) => reason as YamuxError | undefined);
  return { peer: new RawPeer(theirs), session, transport: ours, closed };
}
