import { finished } from 'node:stream';
import type { Duplex } from 'node:stream';

/**
 * Ends a transport in order: what is queued leaves, then its end (for TLS close_notify and FIN); the rest of the input
 * is read and dropped, since a socket closed with unread bytes sends RST. Destroyed when both ways have ended, and in
 * any case after graceMs. Resolves then.
 */
export function endTransport(transport: Duplex, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      transport.destroy();
      resolve();
    };
    // Alone it keeps no process: what it waits for is gone then.
    const timer = setTimeout(done, graceMs).unref();
    finished(transport, done);
    transport.end();
    transport.resume();
  });
}
