import type { IncomingMessage } from 'node:http';
import { Problem } from '../../core/problem/problem.ts';

/** An API server takes no request larger than 3 MB (apiserver's MaxRequestBodyBytes); a review of an update holds two objects. */
export const maxReviewBytes = 3 * 1_048_576;
/** Of all reviews that are being read at once: a few large ones, some hundred usual ones. */
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
   * One body. Rejects with Problem: INVALID_JSON, PAYLOAD_TOO_LARGE for what is too large and begins as no review does,
   * UNAVAILABLE when the memory is used up; with the stream's own error when it is cut off.
   */
  async read(incoming: IncomingMessage): Promise<ReviewBody> {
    const chunks: Buffer[] = [];
    let [bytes, held] = [0, 0];
    // Whoever stops to listen must still be able to answer: the iterator must not end the connection.
    const stream = incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    try {
      for await (const chunk of stream) {
        bytes += chunk.length;
        if (bytes > maxDrainedBytes) break;
        // The first has the uid, whatever its size.
        if (bytes > maxReviewBytes && chunks.length > 0) continue;
        held += chunk.length;
        this.#held += chunk.length;
        chunks.push(chunk);
        if (this.#held > maxBytesOfAll) {
          throw new Problem('UNAVAILABLE', 'Too many reviews at once.', { headers: { 'Retry-After': '1' } });
        }
      }
      return bytes > maxReviewBytes ? tooLargeBody(chunks) : { json: parsed(chunks) };
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
