import { once } from 'node:events';
import type { Http2SecureServer, ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';

export type ConnectionTiming = {
  /** Between pings on an HTTP/2 connection, and before the first TCP keep-alive probe of an HTTP/1.1 one, ms. */
  readonly pingIntervalMs: number;
  /** A ping that is not answered for so long ends the connection, ms. */
  readonly pingTimeoutMs: number;
  /** An HTTP/2 connection may take so long to its first request, ms. */
  readonly firstRequestMs: number;
  /** Without a request, an HTTP/2 connection is closed after this time, ms. */
  readonly idleMs: number;
};

/**
 * The connections of users, kept alive while they carry something: a load balancer forgets what is silent for 350 s,
 * and a watch may rightly be silent for hours.
 */
export class Connections {
  readonly #server: Http2SecureServer;
  readonly #timing: ConnectionTiming;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<TLSSocket>();
  #closed: Promise<unknown> | undefined;

  constructor(server: Http2SecureServer, timing: ConnectionTiming) {
    this.#server = server;
    this.#timing = timing;
    server.on('secureConnection', (socket: TLSSocket) => this.#opened(socket));
    server.on('session', (session) => this.#started(session));
  }

  /**
   * Accepts nothing more, lets what is running end (GOAWAY; `Connection: close`), at the deadline calls `finish` and
   * soon after cuts what is left. Resolves when every connection is closed. A second call may only bring the end nearer.
   */
  async drain(deadlineMs: number, finish: () => void): Promise<void> {
    if (!this.#closed) {
      this.#closed = once(this.#server, 'close');
      this.#server.close();
    }
    const cut = () => {
      for (const session of this.#sessions) session.destroy();
      for (const socket of this.#sockets) socket.destroy();
    };
    // Half a second for what `finish` has to say to reach the clients.
    const graceMs = deadlineMs > 0 ? 500 : 0;
    const timers = [setTimeout(finish, deadlineMs), setTimeout(cut, deadlineMs + graceMs)];
    await this.#closed;
    for (const timer of timers) clearTimeout(timer);
  }

  #opened(socket: TLSSocket): void {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, this.#timing.pingIntervalMs);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #started(session: ServerHttp2Session): void {
    const { pingIntervalMs, pingTimeoutMs, firstRequestMs, idleMs } = this.#timing;
    this.#sessions.add(session);
    let unanswered: NodeJS.Timeout | undefined;
    const ping = () => {
      if (session.closed || session.destroyed || unanswered) return;
      unanswered = setTimeout(() => session.destroy(), pingTimeoutMs);
      session.ping(() => {
        clearTimeout(unanswered);
        unanswered = undefined;
      });
    };
    const pinging = setInterval(ping, pingIntervalMs);

    let open = 0;
    let idle = setTimeout(() => session.destroy(), firstRequestMs);
    session.on('stream', (stream) => {
      open += 1;
      clearTimeout(idle);
      stream.once('close', () => {
        open -= 1;
        if (open === 0 && !session.destroyed) idle = setTimeout(() => session.close(), idleMs);
      });
    });
    session.once('close', () => {
      this.#sessions.delete(session);
      clearInterval(pinging);
      clearTimeout(unanswered);
      clearTimeout(idle);
    });
    // Reported to the streams; a session's own error has nothing more to say.
    session.on('error', () => undefined);
  }
}
