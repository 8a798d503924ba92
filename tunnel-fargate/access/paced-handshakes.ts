import type { Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import { defaultPace, HandshakePace } from '../agent/handshake-pace.ts';

type Options = {
  readonly pace?: typeof defaultPace;
  /** Open connections of one address, in their handshakes or past them; beyond: dropped. */
  readonly maxPerAddress?: number;
  /** A connection was dropped: too many were in their handshakes, of all or of its address, or its address has too many. */
  readonly onDropped?: (() => void) | undefined;
};

type Listener = (socket: Socket) => void;

/**
 * Lets a TLS server begin its handshakes at a pace, as on the tunnel port ({@link HandshakePace}): strangers may dial
 * this port as well, and those who do nothing but shake hands must not take the thread from those who are served.
 * And nobody alone takes all the connections that the port may have: 1,000 of an address are enough for an office.
 * A tls.Server begins a handshake in its own listener of 'connection', which is put behind the pace here.
 */
export function paceHandshakes(
  server: Server,
  { pace: options = defaultPace, maxPerAddress = 1_000, onDropped }: Options,
): void {
  const pace = new HandshakePace(options);
  const begin = server.listeners('connection') as Listener[];
  server.removeAllListeners('connection');
  /** How each connection that is in its handshake leaves it. */
  const leaving = new Map<string, () => void>();
  const open = new Map<string, number>();

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const name = nameOf(socket);
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      leaving.delete(name);
      pace.leave(address);
    };
    // It may fail before it is its turn, when nobody else listens yet.
    socket.on('error', () => undefined);
    const start = () => {
      if (socket.destroyed) return;
      for (const listener of begin) listener.call(server, socket);
    };
    const others = open.get(address) ?? 0;
    if (others >= maxPerAddress || !pace.enter(address, start)) {
      onDropped?.();
      socket.destroy();
      return;
    }
    open.set(address, others + 1);
    leaving.set(name, leave);
    socket.once('close', () => {
      leave();
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
  });
  server.on('secureConnection', (socket: TLSSocket) => leaving.get(nameOf(socket))?.());
}

/** A port of ours has no two connections of one address and port. */
const nameOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress ?? ''} ${remotePort ?? ''}`;
