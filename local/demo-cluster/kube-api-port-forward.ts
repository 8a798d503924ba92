import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { SpdySession, type SpdyStream } from './spdy-session.ts';

/** kubectl ≥ 1.31 carries SPDY in the WebSocket's messages (Kubernetes KEP 4006). */
export const portForwardProtocol = 'SPDY/3.1+portforward.k8s.io';

/** Puts a connection to a port of the pod on a stream; false when nothing listens there. */
export type Dial = (port: number, connection: Duplex) => boolean;

/** `…/portforward`: for each connection two streams, one for errors and one for data, that name the same request. */
export async function servePortForward(socket: WebSocket, pod: string, dial: Dial): Promise<void> {
  const errors = new Map<string, SpdyStream>();
  const session = new SpdySession({
    send: (frame, done) => {
      if (socket.readyState === socket.OPEN) socket.send(frame, () => done());
      else done();
    },
    pause: () => socket.pause(),
    resume: () => {
      if (socket.isPaused) socket.resume();
    },
    onStream(stream) {
      const [request = '', port] = [stream.headers.get('requestid'), Number(stream.headers.get('port'))];
      if (stream.headers.get('streamtype') === 'error') {
        errors.set(request, stream);
        stream.resume();
        stream.once('close', () => errors.delete(request));
        return;
      }
      const error = errors.get(request);
      if (dial(port, stream)) stream.once('close', () => error?.end());
      else {
        error?.end(`nothing in pod ${pod} listens on port ${port}`);
        stream.end();
        stream.resume();
      }
    },
  });
  socket.on('message', (data: Buffer) => {
    session.receive(data).catch(() => socket.close(1002));
  });
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  session.close();
}
