import { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';

/**
 * Shows an answer's status line at once: HTTP/2 sends headers as they are written, HTTP/1 holds them back until the
 * first byte of the body, which an idle watch may not have for minutes.
 */
export function flushHeaders(response: unknown): void {
  if (response instanceof ServerResponse) response.flushHeaders();
}

/** Begins an endless 200 answer. */
export function beginStream(response: Http2ServerResponse, contentType: string): void {
  response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache, private' });
  flushHeaders(response);
}
