import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createGzip } from 'node:zlib';
import { Problem } from '../../core/problem/problem.ts';
import type { Reservation } from './byte-budget.ts';
import { firstLineBytes } from './flow-date.ts';

/** A body as it will be stored. */
export type FlowBody = {
  /** Gzip of what came. */
  readonly compressed: Buffer;
  /** Lower-case hex SHA-256 of what came. */
  readonly sha256: string;
  /** Bytes that came. */
  readonly size: number;
  /** Text up to the first line feed, or empty when that is too far. */
  readonly firstLine: string;
};

/** What deflate holds per stream (zlib.h: (1 << (windowBits + 2)) + (1 << (memLevel + 9))) and Node's chunks, bytes. */
const compressorBytes = 327_680;

/**
 * Reads a body, compressing as it comes: only compressed bytes are kept, and they count against the budget.
 * Rejects with Problem PAYLOAD_TOO_LARGE beyond `maxBytes`, UNAVAILABLE when the budget is used up, and with the
 * request's own error when the sender goes away. The request stays readable, so that it can be answered.
 */
export async function readFlowBody(
  request: IncomingMessage,
  reservation: Reservation,
  maxBytes: number,
): Promise<FlowBody> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > maxBytes) throw tooLarge(maxBytes);
  const take = (bytes: number) => {
    if (!reservation.take(bytes)) throw noMemory();
  };
  take(compressorBytes);
  const hash = createHash('sha256');
  const gzip = createGzip();
  const kept: Buffer[] = [];
  let failure: unknown;
  let size = 0;
  let head = '';
  let headOver = false;
  gzip.on('data', (chunk: Buffer) => {
    try {
      take(chunk.length);
      kept.push(chunk);
    } catch (error) {
      failure = error;
    }
  });
  gzip.on('error', (error) => (failure = error));
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      if (failure !== undefined) throw failure as Error;
      hash.update(chunk);
      if (!headOver) {
        const end = chunk.indexOf(10);
        head += chunk.toString('utf8', 0, end === -1 ? undefined : end);
        headOver = end !== -1 || head.length > firstLineBytes;
      }
      if (!gzip.write(chunk)) await once(gzip, 'drain');
    }
    const ended = once(gzip, 'end');
    gzip.end();
    await ended;
    if (failure !== undefined) throw failure as Error;
  } finally {
    gzip.destroy();
  }
  return {
    compressed: Buffer.concat(kept),
    sha256: hash.digest('hex'),
    size,
    firstLine: head.length > firstLineBytes ? '' : head,
  };
}

const tooLarge = (maxBytes: number) =>
  new Problem('PAYLOAD_TOO_LARGE', `At most ${maxBytes} bytes are taken at once.`);
const noMemory = () =>
  new Problem('UNAVAILABLE', 'Too many uploads at the same time.', { headers: { 'Retry-After': '5' } });
