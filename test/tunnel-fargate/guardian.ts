import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import { connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls';
import { YamuxSession } from '../../tunnel-fargate/yamux/session.ts';
import { hintName, logEndpointName, type TestPair } from './certificates.ts';

export type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
/** Gets the connection without the byte that Guardian swallows, which is told apart. */
type ServeUpgrade = (request: IncomingMessage, socket: Duplex, swallowed: number) => void;

export type GuardianOptions = {
  readonly port: number;
  /** Root that verifies the tunnel's certificate and the log endpoint's. */
  readonly roots: string;
  /** The cluster's certificate; none: Guardian without one. */
  readonly pair?: TestPair;
  /** What it presents inside; default the same. */
  readonly inside?: TestPair;
  readonly maxVersion?: SecureVersion;
  /** A TCP connection to use, for those who break it. */
  readonly over?: Socket;
  /** A TLS session to offer again. */
  readonly session?: Buffer;
  readonly serve?: Serve;
  /** Serves HTTP/1.1 requests for another protocol. */
  readonly upgrade?: ServeUpgrade;
  readonly maxConcurrentStreams?: number;
};

/** A test's Guardian: TLS client outside, yamux client, h2 server inside. Only what these tests need. */
export class TestGuardian {
  readonly socket: TLSSocket;
  readonly session: YamuxSession;
  /** Streams that the server opened. */
  opened = 0;
  /** Bytes of requests that came in before or after the inner handshake. */
  requests = 0;
  readonly #h2: Http2SecureServer | undefined;
  readonly #roots: string;

  static async connect(options: GuardianOptions): Promise<TestGuardian> {
    const socket = connectTls({
      ...(options.over ? { socket: options.over } : { host: '127.0.0.1', port: options.port }),
      servername: hintName,
      ca: options.roots,
      ...(options.pair ? { cert: options.pair.certificate, key: options.pair.key } : {}),
      ...(options.maxVersion ? { maxVersion: options.maxVersion } : {}),
      ...(options.session ? { session: options.session } : {}),
    });
    socket.on('error', () => undefined);
    // As Go does by default.
    socket.setNoDelay(true);
    await once(socket, 'secureConnect');
    return new TestGuardian(socket, options);
  }

  private constructor(socket: TLSSocket, options: GuardianOptions) {
    this.socket = socket;
    this.#roots = options.roots;
    this.session = new YamuxSession(socket, { role: 'client' });
    const inside = options.inside ?? options.pair;
    if (inside) {
      this.#h2 = createSecureServer({
        cert: inside.certificate,
        key: inside.key,
        // Go's server has no such limit.
        maxSessionMemory: 1_000,
        settings: { maxConcurrentStreams: options.maxConcurrentStreams ?? 250 },
        allowHTTP1: options.upgrade !== undefined,
      });
      const { upgrade } = options;
      if (upgrade) {
        this.#h2.on('upgrade', (request: IncomingMessage, socket: Duplex, early: Buffer) => {
          this.requests += 1;
          socket.on('error', () => undefined);
          if (early.length > 0) socket.unshift(early);
          swallow(socket, (byte) => upgrade(request, socket, byte));
        });
      }
      this.#h2.on('sessionError', () => undefined);
      this.#h2.on('stream', (stream, headers) => {
        this.requests += 1;
        stream.on('error', () => undefined);
        (options.serve ?? answerPath)(stream, headers);
      });
    }
    this.session.on('stream', (stream) => {
      this.opened += 1;
      stream.on('error', () => undefined);
      this.#h2?.emit('connection', stream);
    });
  }

  /** Resolves when the connection has ended. */
  get ended(): Promise<void> {
    return this.session.closed ? Promise.resolve() : once(this.session, 'close').then(() => undefined);
  }

  /** A stream of the cluster's own, verified as Goldmane verifies it. */
  async logStream(options: { alpn?: string[]; maxVersion?: SecureVersion } = {}): Promise<TLSSocket> {
    const stream: Duplex = this.session.open();
    stream.on('error', () => undefined);
    const socket = connectTls({
      socket: stream,
      servername: logEndpointName,
      ca: this.#roots,
      ...(options.alpn ? { ALPNProtocols: options.alpn } : {}),
      ...(options.maxVersion ? { maxVersion: options.maxVersion } : {}),
    });
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    return socket;
  }

  async post(
    body: string | Buffer,
    changed: { path?: string; method?: string; headers?: Record<string, string>; socket?: TLSSocket } = {},
  ): Promise<{ status: number; body: string; headers: NodeJS.Dict<string | string[]> }> {
    const socket = changed.socket ?? (await this.logStream());
    const request = httpRequest({
      createConnection: () => socket,
      method: changed.method ?? 'POST',
      path: changed.path ?? '/api/v1/flows/bulk',
      headers: {
        Host: 'guardian.calico-system.svc',
        'Content-Type': 'application/x-ndjson',
        'Content-Length': Buffer.byteLength(body),
        ...changed.headers,
      },
    });
    return new Promise((resolve, reject) => {
      request.on('error', reject);
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }),
        );
      });
      request.end(body);
    });
  }

  async close(): Promise<void> {
    await this.session.close();
    this.#h2?.close();
  }
}

function swallow(socket: Duplex, then: (byte: number) => void): void {
  const byte = socket.read(1) as Buffer | null;
  if (byte) then(byte.readUInt8());
  else socket.once('readable', () => swallow(socket, then));
}

const answerPath: Serve = (stream, headers) => {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.end(`hello ${String(headers[':path'])}`);
};
