import type { IncomingMessage } from 'node:http';
import { Problem } from '../../core/problem/problem.ts';

/** An API server takes no request larger than 3 MB (apiserver's MaxRequestBodyBytes); a review of an update holds two objects. */
export const maxReviewBytes = 3 * 1_048_576;
/**
 * A usual review has less, and its place for certain: whoever sends large ones, or never ends one, must not leave the
 * answers to others' to the failure policy.
 */
const usualBytes = 64 * 1_024;
/** What goes beyond that, of all reviews that are being read at once: a few large ones. */
const maxBytesOfAll = 48 * 1_048_576;

/** Of what is too large this much is read and dropped: who is still writing may not read an answer. */
const maxDrainedBytes = 32 * 1_048_576;

/** How much of a review's beginning is looked at for its uid: API servers write kind, version and uid first. */
const headBytes = 4_096;
const uidPattern =
  /^\s*\{(?:\s*"(?:kind|apiVersion)"\s*:\s*"[\w./]{1,64}"\s*,)*\s*"request"\s*:\s*\{\s*"uid"\s*:\s*"([\w-]{1,128})"/;

export type ReviewBody = { readonly json: unknown } | { readonly tooLarge: true; readonly uid: string };

/** Reads bodies of reviews, within a memory that all of them share. */
export class ReviewBodies {
  #held = 0;

  /**
   * One body; too large is also what finds the memory used up. Rejects with Problem: INVALID_JSON, PAYLOAD_TOO_LARGE for
   * what is too large and begins as no review does; with the stream's own error when it is cut off.
   */
  async read(incoming: IncomingMessage): Promise<ReviewBody> {
    const chunks: Buffer[] = [];
    let [bytes, held, isTooLarge] = [0, 0, false];
    // Whoever stops to listen must still be able to answer: the iterator must not end the connection.
    const stream = incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    try {
      for await (const chunk of stream) {
        bytes += chunk.length;
        if (bytes > maxDrainedBytes) break;
        if (isTooLarge) continue;
        const more = Math.max(0, bytes - usualBytes) - held;
        isTooLarge = bytes > maxReviewBytes || this.#held + more > maxBytesOfAll;
        if (isTooLarge) {
          // For its uid the beginning is enough.
          chunks.splice(0, chunks.length, Buffer.concat([...chunks, chunk]).subarray(0, headBytes));
          this.#held -= held;
          held = 0;
          continue;
        }
        held += more;
        this.#held += more;
        chunks.push(chunk);
      }
      return isTooLarge ? tooLargeBody(chunks) : { json: parsed(chunks) };
    } finally {
      this.#held -= held;
    }
  }
}

function parsed(chunks: readonly Buffer[]): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch (error) {
    throw new Problem('INVALID_JSON', undefined, { cause: error });
  }
}

function tooLargeBody(chunks: readonly Buffer[]): ReviewBody {
  const head = Buffer.concat(chunks).subarray(0, headBytes).toString('latin1');
  const uid = uidPattern.exec(head)?.[1];
  if (uid === undefined) {
    throw new Problem('PAYLOAD_TOO_LARGE', `A review may have ${maxReviewBytes} bytes.`);
  }
  return { tooLarge: true, uid };
}
