import { createHash } from 'node:crypto';
import { Problem } from '../../core/problem/problem.ts';
import type { Exchange } from './exchange.ts';

type Headers = Readonly<Record<string, string>>;

/** Answers JSON that we made: with our request ID, and with the body only where the client asked for it. */
export function answerJson(exchange: Exchange, status: number, text: string, headers: Headers = {}): void {
  exchange.answer(
    status,
    {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': exchange.requestId,
      ...headers,
    },
    text,
  );
}

/**
 * Answers a document that clients keep and ask for again (discovery, OpenAPI): 304 when they have it already, as
 * kubectl's cache on disk hopes for (RFC 9110 §13.1.2).
 */
export function answerDocument(exchange: Exchange, text: string, headers: Headers = {}): void {
  const etag = `"${createHash('sha256').update(text).digest('base64url')}"`;
  const revalidate = { 'cache-control': 'private, no-cache', vary: 'Accept', etag, ...headers };
  const known = (exchange.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim());
  if (known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag)) {
    exchange.answer(304, { ...revalidate, 'x-request-id': exchange.requestId });
  } else {
    answerJson(exchange, 200, text, revalidate);
  }
}

/** @throws Problem METHOD_NOT_ALLOWED unless the request only reads */
export function assertReads({ method }: Exchange): void {
  if (method !== 'GET' && method !== 'HEAD') throw notAllowed(['GET', 'HEAD']);
}

export const notAllowed = (allowed: readonly string[]): Problem =>
  new Problem('METHOD_NOT_ALLOWED', undefined, { headers: { Allow: allowed.join(', ') } });
