import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** How long the other side may take to read an answer and close, ms. */
const lingerMs = 1_000;

/**
 * The answer to a request for another protocol, for as long as it is an ordinary one: Node leaves such a connection to
 * itself, so this does what its HTTP server otherwise would. The connection ends with the answer.
 * Undefined, and the connection is closed, when an earlier answer is still on its way there.
 */
export function upgradeResponse(request: IncomingMessage, socket: Duplex): ServerResponse | undefined {
  socket.on('error', () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  try {
    response.assignSocket(request.socket);
  } catch {
    socket.destroy();
    return undefined;
  }
  socket.on('drain', () => response.emit('drain'));
  response.once('finish', () => {
    // Read on, or the system resets the connection and the answer with it.
    const cut = setTimeout(() => socket.destroy(), lingerMs);
    socket.once('close', () => clearTimeout(cut));
    socket.end();
    socket.resume();
  });
  return response;
}
