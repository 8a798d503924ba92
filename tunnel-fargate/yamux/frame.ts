import { violation } from './error.ts';

/** Bytes: version (1), type (1), flags (2), stream id (4), length (4), all big-endian (spec, "Framing"). */
export const HEADER_BYTES = 12;

const VERSION = 0;

/** The length field is a byte count for data, a delta for windowUpdate, an opaque value for ping, a code for goAway. */
export const FrameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const Flag = { none: 0, syn: 1, ack: 2, fin: 4, rst: 8 } as const;

/** @param length see FrameType; 0 … 2^32-1. A data frame's payload follows as separate bytes. */
export function encodeHeader(type: FrameType, flags: number, id: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header[0] = VERSION;
  header[1] = type;
  header.writeUInt16BE(flags, 2);
  header.writeUInt32BE(id, 4);
  header.writeUInt32BE(length, 8);
  return header;
}

export type FrameHandler = {
  /** Called once per frame, for data before any of its payload. Throwing stops the parser. */
  onHeader(type: FrameType, flags: number, id: number, length: number): void;
  /**
   * A piece of the current data frame: a view into the chunk that was pushed, never a copy, never empty.
   * `left` bytes of the frame are still to come.
   */
  onPayload(bytes: Buffer, left: number): void;
};

/**
 * Cuts a byte stream, split anywhere, into frames. It holds at most one incomplete header; payload passes through.
 * Throws BAD_VERSION and BAD_TYPE (and what its handler throws); after a throw, or stop(), it ignores all input.
 */
export class FrameParser {
  readonly #handler: FrameHandler;
  readonly #partial = Buffer.alloc(HEADER_BYTES);
  #partialBytes = 0;
  #payloadLeft = 0;
  #stopped = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** True between the first byte of a frame and its last: an end of input here cuts a frame short. */
  get midFrame(): boolean {
    return this.#partialBytes > 0 || this.#payloadLeft > 0;
  }

  stop(): void {
    this.#stopped = true;
  }

  push(chunk: Buffer): void {
    try {
      let offset = 0;
      while (offset < chunk.length && !this.#stopped) {
        offset = this.#payloadLeft > 0 ? this.#payload(chunk, offset) : this.#header(chunk, offset);
      }
    } catch (error) {
      this.#stopped = true;
      throw error;
    }
  }

  #payload(chunk: Buffer, offset: number): number {
    const end = Math.min(chunk.length, offset + this.#payloadLeft);
    this.#payloadLeft -= end - offset;
    this.#handler.onPayload(chunk.subarray(offset, end), this.#payloadLeft);
    return end;
  }

  #header(chunk: Buffer, offset: number): number {
    if (this.#partialBytes === 0 && chunk.length - offset >= HEADER_BYTES) {
      this.#decode(chunk, offset);
      return offset + HEADER_BYTES;
    }
    const end = Math.min(chunk.length, offset + HEADER_BYTES - this.#partialBytes);
    this.#partialBytes += chunk.copy(this.#partial, this.#partialBytes, offset, end);
    if (this.#partialBytes === HEADER_BYTES) {
      this.#partialBytes = 0;
      this.#decode(this.#partial, 0);
    }
    return end;
  }

  #decode(bytes: Buffer, at: number): void {
    const version = bytes.readUInt8(at);
    if (version !== VERSION) throw violation('BAD_VERSION', `frame of unknown version ${version}`);
    const type = bytes.readUInt8(at + 1);
    if (!isFrameType(type)) throw violation('BAD_TYPE', `frame of unknown type ${type}`);
    const length = bytes.readUInt32BE(at + 8);
    if (type === FrameType.data) this.#payloadLeft = length;
    this.#handler.onHeader(type, bytes.readUInt16BE(at + 2), bytes.readUInt32BE(at + 4), length);
  }
}

function isFrameType(type: number): type is FrameType {
  return type <= FrameType.goAway;
}
