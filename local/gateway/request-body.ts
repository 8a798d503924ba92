import type { IncomingMessage } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import { createGunzip, createInflate } from 'node:zlib';
import { GatewayError } from './gateway-response.ts';

/** API Gateway's limit on a payload; it meets the decompressed body. */
export const maxPayloadBytes = 10 * 1024 * 1024;

/**
 * The whole body, decompressed as API Gateway does: gzip and deflate; another coding is 415, more than 10 MB is 413.
 * After an error the rest of the body is still unread, and the connection open for the answer.
 */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const coding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const decoder = coding === 'identity' || coding === '' ? undefined : decoderOf(coding);
  const body: Readable = decoder ? decoded(request, decoder) : request;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxPayloadBytes) throw new GatewayError('REQUEST_TOO_LARGE');
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof GatewayError ? error : new GatewayError('BAD_REQUEST_BODY');
  } finally {
    request.unpipe();
    decoder?.destroy();
  }
  return Buffer.concat(chunks);
}

function decoderOf(coding: string): Transform {
  if (coding === 'gzip') return createGunzip();
  if (coding === 'deflate') return createInflate();
  throw new GatewayError('UNSUPPORTED_MEDIA_TYPE');
}

function decoded(request: IncomingMessage, decoder: Transform): Readable {
  // `pipe` leaves its target waiting when the client goes away.
  request.once('close', () => {
    if (!request.complete) decoder.destroy(new Error('The client went away.'));
  });
  return request.pipe(decoder);
}
