import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';

export type UpgradeForwarding = {
  /** Where the API server is and how it is verified. */
  upstream: RequestOptions;
  /** As for any other request, without those of a connection. */
  headers: OutgoingHttpHeaders;
  responseHeaders: (upstream: IncomingMessage) => OutgoingHttpHeaders;
};

function headOf(
  { statusCode = 502, statusMessage = '' }: IncomingMessage,
  headers: OutgoingHttpHeaders,
): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((single) => `${name}: ${String(single)}`),
  );
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join('\r\n')}\r\n\r\n`;
}

/**
 * Passes an upgrade on to the API server, with Guardian's flaw (protocol/guardian.md §2.3): it waits in a read while the
 * API server answers. A byte that comes before the 101 ends that read and is lost; without one the connection ends
 * right after the 101.
 */
export function forwardUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { upstream, headers, responseHeaders }: UpgradeForwarding,
): void {
  const early: Buffer[] = head.length > 0 ? [head] : [];
  const collect = (chunk: Buffer) => early.push(chunk);
  // HTTP, TLS and the pipe watch its end, each with more than one listener.
  socket.setMaxListeners(30);
  socket.on('data', collect);
  socket.on('error', () => undefined);
  const sent = httpsRequest({
    ...upstream,
    // A connection of its own: it will carry another protocol.
    agent: false,
    method: request.method,
    path: request.url,
    headers: { ...headers, connection: 'Upgrade', upgrade: request.headers.upgrade },
  });
  socket.once('close', () => sent.destroy());
  sent.on('upgrade', (answer, server: Duplex, first: Buffer) => {
    socket.off('data', collect);
    socket.pause();
    socket.write(
      headOf(answer, { connection: 'Upgrade', upgrade: answer.headers.upgrade, ...responseHeaders(answer) }),
    );
    const before = Buffer.concat(early);
    if (before.length === 0) {
      server.destroy();
      socket.end();
      return;
    }
    if (first.length > 0) socket.write(first);
    if (before.length > 1) server.write(before.subarray(1));
    pipeline(socket, server, socket, () => undefined);
  });
  sent.on('response', (answer) => {
    socket.off('data', collect);
    // Read until the end of the connection: what a chunked body was is not kept.
    socket.write(headOf(answer, { ...responseHeaders(answer), connection: 'close' }));
    pipeline(answer, socket, () => undefined);
  });
  sent.on('error', () => socket.destroy());
  sent.end();
}
