import type { Http2ServerResponse } from 'node:http2';

/**
 * Begins an endless 200 answer and shows its status line at once: HTTP/2 sends headers as they are written, HTTP/1
 * holds them back until the first byte of the body, which an idle watch may not have for minutes.
 */
export function beginStream(response: Http2ServerResponse, contentType: string): void {
  response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache, private' });
  if ('flushHeaders' in response && typeof response.flushHeaders === 'function') response.flushHeaders();
}
