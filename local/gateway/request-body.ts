import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createInflate } from 'node:zlib';
import { GatewayError } from './gateway-response.ts';

/** API Gateway's limit on a payload; it meets the decompressed body (shared notes in API Gateway quotas). */
export const maxPayloadBytes = 10 * 1024 * 1024;

/** The whole body, decompressed as API Gateway does: gzip and deflate; another coding is 415, more than 10 MB is 413. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const coding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const chunks: Buffer[] = [];
  let size = 0;
  const collect = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size <= maxPayloadBytes) chunks.push(chunk);
      done(size <= maxPayloadBytes ? null : new GatewayError('REQUEST_TOO_LARGE'));
    },
  });
  try {
    if (coding === 'identity' || coding === '') await pipeline(request, collect, { end: true });
    else await pipeline(request, decoder(coding), collect);
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('BAD_REQUEST_BODY');
  }
  return Buffer.concat(chunks);
}

function decoder(coding: string) {
  if (coding === 'gzip') return createGunzip();
  if (coding === 'deflate') return createInflate();
  throw new GatewayError('UNSUPPORTED_MEDIA_TYPE');
}
