import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { type SessionOptions, YamuxSession } from '../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../tunnel-fargate/yamux/stream.ts';
import { hintName, makeCa } from '../tunnel-fargate/certificates.ts';
import { GoProcess } from './go-process.ts';

export type EchoOptions = {
  /** Go's; ours is the other one. */
  readonly goRole: 'server' | 'client';
  readonly session?: Partial<SessionOptions>;
  readonly flags?: Readonly<Record<string, string>>;
  /** What we do with Go's streams; default: echo. */
  readonly onStream?: (stream: YamuxStream) => void;
};

/** A session of ours with Go's yamux over TLS 1.3. */
export type EchoPeer = {
  readonly go: GoProcess;
  readonly session: YamuxSession;
  readonly socket: TLSSocket;
  close(): Promise<void>;
};

/** Files for Go, and what our side needs to talk to it. */
export async function makeEchoPeers() {
  const directory = await mkdtemp(path.join(tmpdir(), 'cattery-interop-'));
  const ca = await makeCa();
  const pair = await ca.issue({ names: [hintName], usage: 'server' });
  const file = async (name: string, text: string) => {
    await writeFile(path.join(directory, name), text, { mode: 0o600 });
    return path.join(directory, name);
  };
  const flags = {
    certificate: await file('certificate.pem', pair.certificate),
    key: await file('key.pem', pair.key),
    trust: await file('trust.pem', `${pair.certificate}\n${ca.certificate}`),
  };

  async function start(options: EchoOptions): Promise<EchoPeer> {
    const { go, socket } = await (options.goRole === 'server' ? dialGo(options) : takeGo(options));
    socket.setNoDelay(true);
    const role = options.goRole === 'server' ? 'client' : 'server';
    const session = new YamuxSession(socket, { role, ...options.session });
    session.on('stream', options.onStream ?? echo);
    const close = async () => {
      session.destroy();
      await go.stop();
    };
    return { go, session, socket, close };
  }

  async function dialGo(options: EchoOptions) {
    const go = new GoProcess('echo', { role: 'server', ...flags, ...options.flags });
    const { address = '' } = await go.event('listening');
    const port = Number(address.split(':')[1]);
    const socket = connect({ host: '127.0.0.1', port, servername: hintName, ca: ca.certificate });
    await once(socket, 'secureConnect');
    return { go, socket };
  }

  async function takeGo(options: EchoOptions) {
    const server = createServer({ cert: pair.certificate, key: pair.key, minVersion: 'TLSv1.3' });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const go = new GoProcess('echo', { role: 'client', address, ...flags, ...options.flags });
    const signal = AbortSignal.timeout(8_000);
    const [socket] = (await once(server, 'secureConnection', { signal })) as [TLSSocket];
    server.close();
    return { go, socket };
  }

  return { start, remove: () => rm(directory, { recursive: true, force: true }) };
}

const echo = (stream: Duplex) => void stream.on('error', () => undefined).pipe(stream);

/** Sends bytes, half-closes, and gives what came back until the peer's end: how much, and its SHA-256. */
export async function sentAndReturned(
  stream: Duplex,
  bytes: Buffer,
): Promise<{ bytes: number; hash: string }> {
  stream.end(bytes);
  const received = createHash('sha256');
  let count = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    count += chunk.length;
    received.update(chunk);
  }
  return { bytes: count, hash: received.digest('hex') };
}

export const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** The same bytes for the same seed. */
export function bytesFrom(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at + 4 <= length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32BE(state, at);
  }
  return bytes;
}
