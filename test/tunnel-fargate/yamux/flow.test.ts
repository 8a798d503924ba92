import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { YamuxSession } from '../../../tunnel-fargate/yamux/session.ts';
import type { SessionOptions } from '../../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../../tunnel-fargate/yamux/stream.ts';
import { DATA, PING, raw, rig, SYN, UPDATE, until } from './raw-peer.ts';

type Link = { client: YamuxSession; server: YamuxSession };

const links: Link[] = [];

afterEach(async () => {
  await Promise.all(links.splice(0).flatMap(({ client, server }) => [client.close(), server.close()]));
});

function inMemory(options: Partial<SessionOptions> = {}): Link {
  const [left, right] = duplexPair();
  const link = {
    client: new YamuxSession(left, { role: 'client', ...options }),
    server: new YamuxSession(right, { role: 'server', ...options }),
  };
  links.push(link);
  return link;
}

async function overTcp(options: Partial<SessionOptions> = {}): Promise<Link> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const socket = connect((listener.address() as AddressInfo).port, '127.0.0.1').setNoDelay();
  const [accepted] = (await once(listener, 'connection')) as [Socket];
  listener.close();
  const link = {
    client: new YamuxSession(socket, { role: 'client', ...options }),
    server: new YamuxSession(accepted.setNoDelay(), { role: 'server', ...options }),
  };
  links.push(link);
  return link;
}

/** Looked up once: a global is dear in the realm jest runs tests in. */
const { imul } = Math;

/** Bytes that depend on seed and position, so that a swap or a loss shows. */
function pattern(seed: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < bytes; at += 1) {
    state = (imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    buffer[at] = state >>> 24;
  }
  return buffer;
}

function hash(chunks: Iterable<Buffer>): string {
  const sum = createHash('sha256');
  for (const chunk of chunks) sum.update(chunk);
  return sum.digest('hex');
}

/** All of a stream. Not toArray(): that destroys a Duplex that is still writing. */
async function collect(stream: YamuxStream): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return chunks;
}

function echo(session: YamuxSession): void {
  session.on('stream', (stream) => void pipeline(stream, stream).catch(() => undefined));
}

async function roundTrip(session: YamuxSession, bytes: Buffer): Promise<void> {
  const stream = session.open();
  stream.end(bytes);
  const chunks = await collect(stream);
  expect(hash(chunks)).toBe(hash([bytes]));
}

describe.each([
  ['in memory', () => Promise.resolve(inMemory())],
  ['over TCP', () => overTcp()],
  ['over TCP with a window of 1 MiB', () => overTcp({ initialWindow: 1_048_576, acceptedWindow: 1_048_576 })],
])('two sessions %s', (_where, link) => {
  test('carry 60 streams of each side at once, each byte to its place', async () => {
    const { client, server } = await link();
    echo(client);
    echo(server);
    const sizes = [0, 1, 1000, 65_536, 65_537, 300_000];
    await Promise.all(
      Array.from({ length: 120 }, (_unused, index) =>
        roundTrip(index % 2 === 0 ? client : server, pattern(index, sizes[index % sizes.length] ?? 0)),
      ),
    );
    await until(() => client.streamCount === 0 && server.streamCount === 0);
  });

  test('carry 8 MB in both directions of one stream at once', async () => {
    const { client, server } = await link();
    const down = pattern(1, 8_000_000);
    const up = pattern(2, 8_000_000);
    const accepted = once(server, 'stream') as Promise<[YamuxStream]>;
    const ours = client.open();
    ours.end(up);
    const [theirs] = await accepted;
    theirs.end(down);
    const [atServer, atClient] = await Promise.all([collect(theirs), collect(ours)]);
    expect(hash(atServer)).toBe(hash([up]));
    expect(hash(atClient)).toBe(hash([down]));
    await until(() => client.streamCount === 0 && server.streamCount === 0);
  });

  test('keep a stalled reader to its window while others, and pings, go on; and lose nothing when it reads again', async () => {
    const { client, server } = await link();
    let stalled: YamuxStream | undefined;
    server.on('stream', (stream) => {
      if (stalled === undefined) stalled = stream;
      else void pipeline(stream, stream).catch(() => undefined);
    });
    const bytes = pattern(3, 3_000_000);
    const bulk = client.open();
    bulk.resume().end(bytes);
    await until(() => stalled !== undefined);
    for (let index = 0; index < 5; index += 1) await roundTrip(client, pattern(index, 400_000));
    await client.ping();
    expect(bulk.writableLength).toBe(bytes.length);
    if (stalled === undefined) throw new Error('no stream');
    expect(hash(await collect(stalled))).toBe(hash([bytes]));
    stalled.end();
    await until(() => client.streamCount === 0 && server.streamCount === 0);
  });
});

describe('fairness', () => {
  const LIMIT = 262_144;

  test('holds a stalled stream to exactly its window in memory', async () => {
    const { client, server } = inMemory();
    const bulk = client.open().on('error', () => undefined);
    let sent = 0;
    const accepted = once(server, 'stream') as Promise<[YamuxStream]>;
    const pump = (async () => {
      for (let index = 0; index < 64; index += 1) {
        if (!bulk.write(Buffer.alloc(16_384), () => void (sent += 16_384))) await once(bulk, 'drain');
      }
    })();
    const [stream] = await accepted;
    await until(() => sent === LIMIT);
    await client.ping();
    expect(sent).toBe(LIMIT);
    stream.on('error', () => undefined).resume();
    await pump;
    await until(() => sent === 64 * 16_384);
  });

  test('takes turns of one frame between bulk streams, and puts no more on the transport than it takes', async () => {
    const { peer, session, transport } = rig({}, { highWaterMark: 1024 });
    peer.pause();
    const streams = Array.from({ length: 3 }, () => session.open());
    for (const stream of streams) stream.write(Buffer.alloc(200_000));
    await until(() => transport.writableNeedDrain);
    expect(transport.writableLength).toBeLessThanOrEqual(65_536 + 12 * 4);
    peer.resume();
    await until(() => peer.sent(DATA).reduce((sum, { length }) => sum + length, 0) === 600_000);
    expect(peer.sent(DATA).map(({ id }) => id)).toEqual([2, 4, 6, 2, 4, 6, 2, 4, 6, 2, 4, 6]);
  });

  test('lets answers to pings and a stream that was idle wait for one frame of bulk, not for its queue', async () => {
    const { peer, session, transport } = rig({}, { highWaterMark: 1024 });
    peer.pause();
    session.open().write(Buffer.alloc(250_000));
    await until(() => transport.writableNeedDrain);
    session.open().write('small');
    peer.send(raw(PING, SYN, 0, 1));
    await until(() => transport.readableLength === 0);
    await new Promise((resolve) => setImmediate(resolve));
    peer.resume();
    await until(() => peer.sent(DATA).reduce((sum, { length }) => sum + length, 0) === 250_005);
    const order = peer.frames.map(({ type, id }) =>
      type === DATA ? `data ${id}` : type === UPDATE ? `syn ${id}` : 'pong',
    );
    expect(order).toEqual(['syn 2', 'data 2', 'pong', 'syn 4', 'data 4', 'data 2', 'data 2', 'data 2']);
  });

  test('does not let a stream that writes little but often overtake the others each time', async () => {
    const { peer, session } = rig({}, { highWaterMark: 1024 });
    const often = session.open();
    let writes = 0;
    const again = () => {
      writes += 1;
      if (writes < 40) often.write('.', again);
    };
    for (let index = 0; index < 2; index += 1) session.open().write(Buffer.alloc(250_000));
    again();
    await until(() => peer.sent(DATA).reduce((sum, { length }) => sum + length, 0) === 500_039);
    const order = peer.sent(DATA).map(({ id }) => id);
    expect(order.lastIndexOf(4)).toBeLessThan(12);
    expect(order.lastIndexOf(6)).toBeLessThan(12);
  });

  test('gathers the frames of one tick into one write of the transport', async () => {
    const [ours, theirs] = duplexPair({ highWaterMark: 1 << 20 });
    const session = new YamuxSession(ours, { role: 'client' });
    let corks = 0;
    const cork = ours.cork.bind(ours);
    ours.cork = () => {
      corks += 1;
      cork();
    };
    let read = 0;
    theirs.on('data', (chunk: Buffer) => void (read += chunk.length));
    for (let index = 0; index < 50; index += 1)
      session
        .open()
        .on('error', () => undefined)
        .write('0123456789');
    await until(() => read === 50 * (12 + 12 + 10));
    expect(corks).toBe(1);
    session.destroy();
  });

  test('ends with WRITE_TIMEOUT when the transport takes nothing for writeTimeoutMs', async () => {
    const { peer, session, closed } = rig({ writeTimeoutMs: 20 }, { highWaterMark: 1024 });
    peer.pause();
    const stream = session.open().on('error', () => undefined);
    stream.write(Buffer.alloc(100_000));
    await expect(closed).resolves.toMatchObject({ code: 'WRITE_TIMEOUT' });
    expect(stream.destroyed).toBe(true);
  });
});
