import type { Duplex } from 'node:stream';

/**
 * To be called right after TLS was put on a stream. Node's TLS over a Duplex re-emits the stream's 'error' on an inner
 * object whose only listener goes away while the TLS socket closes: a session lost in that moment would be an uncaught
 * exception (seen with Node 24.21). The stream's 'close' ends the TLS socket all the same.
 */
export function ignoreErrors(stream: Duplex): void {
  stream.removeAllListeners('error');
  stream.on('error', () => undefined);
}
