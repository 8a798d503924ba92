import { PassThrough, type Readable } from 'node:stream';
import type { WebSocket } from 'ws';

/** The sub-protocols of exec and attach that are known (k8s.io/apimachinery/pkg/util/remotecommand), best first. */
export const channelProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

export const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
/** v5 alone: the client will send nothing more on the channel that the next byte names. */
const closeChannel = 255;
/** What may wait for a slow reader, bytes. */
const maxWaiting = 1_048_576;

/**
 * The channels of one WebSocket: each message begins with a byte that names its channel. Backpressure both ways: what
 * nobody reads stops the socket, and `send` waits for a client that does not read.
 */
export class Channels {
  readonly stdin: Readable;
  readonly #socket: WebSocket;
  readonly #closed = new AbortController();

  /** `protocol`: the one of `channelProtocols` that was agreed upon. */
  constructor(socket: WebSocket, protocol: string) {
    this.#socket = socket;
    const stdin = new PassThrough({ highWaterMark: 65_536 });
    this.stdin = stdin;
    stdin.on('drain', () => socket.resume());
    stdin.on('error', () => undefined);
    socket.on('message', (data: Buffer, isBinary) => {
      const [channel, named] = data;
      if (!isBinary || channel === undefined) return;
      if (channel === channels.stdin && !stdin.writableEnded) {
        if (!stdin.write(data.subarray(1))) socket.pause();
      } else if (channel === closeChannel && protocol === channelProtocols[0]) {
        if (named === channels.stdin) stdin.end();
      }
      // Sizes of terminals (4) are nothing to a stand-in without a screen.
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      stdin.end();
      this.#closed.abort();
    });
  }

  /** Aborted when the client has gone. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  async send(channel: number, bytes: Buffer | string): Promise<void> {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN) return;
    const message = Buffer.concat([Buffer.of(channel), Buffer.from(bytes)]);
    const sent = new Promise<void>((resolve) => socket.send(message, () => resolve()));
    if (socket.bufferedAmount > maxWaiting) await sent;
  }

  /** Ends in order: how the command ended as a Status on the error channel, then the WebSocket's own close. */
  async end(status: object): Promise<void> {
    await this.send(channels.error, JSON.stringify(status));
    this.#socket.close(1000);
  }
}

/** The Status of a command's end (`NonZeroExitCode`, as k8s.io/client-go/util/exec reads it). */
export const exitStatus = (code: number): object =>
  code === 0
    ? { metadata: {}, status: 'Success' }
    : {
        metadata: {},
        status: 'Failure',
        message: `command terminated with non-zero exit code: exit status ${code}`,
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
      };
