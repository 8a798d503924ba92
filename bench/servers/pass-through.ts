/** Started by `npm run bench`: what a pass-through route of the tunnel server does, with its own mux and TLS; each public TCP connection becomes a stream into the last agent. */
import { createServer, type Socket } from 'node:net';
import { acceptTls, serverContext } from '../../tunnel-fargate/agent/tls-acceptance.ts';
import { defaultTunnelOptions } from '../../tunnel-fargate/agent/tunnel.ts';
import { YamuxSession } from '../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../tunnel-fargate/yamux/stream.ts';
import { endWithInput, listen, readPair, tell } from './bench-server.ts';

const context = serverContext(await readPair(process.argv[2] ?? '', 'tunnel'));
let session: YamuxSession | undefined;
let agents = 0;

const tunnel = createServer({ noDelay: true }, (socket) => void admit(socket));
const user = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  if (session === undefined) socket.destroy();
  else join(socket, session.open());
});

endWithInput();
tell({ event: 'listening', tunnel: await listen(tunnel), public: await listen(user) });

async function admit(socket: Socket): Promise<void> {
  try {
    const secured = await acceptTls(socket, { context, timeoutMs: 10_000, requestCert: true });
    if (secured.getPeerX509Certificate() === undefined) {
      secured.destroy();
      return;
    }
    const { maxWindow, pingIntervalMs, pongDelayMs } = defaultTunnelOptions;
    session = new YamuxSession(secured, { role: 'server', maxWindow, pingIntervalMs, pongDelayMs });
    agents += 1;
    tell({ event: 'agent', count: agents });
  } catch {
    // acceptTls has closed it.
  }
}

function join(socket: Socket, stream: YamuxStream): void {
  socket.on('error', () => stream.reset());
  stream.on('error', () => socket.resetAndDestroy());
  // Ended in order, both have seen 'end' before they close.
  socket.on('close', () => stream.destroy());
  stream.on('close', () => socket.destroy());
  socket.pipe(stream).pipe(socket);
}
