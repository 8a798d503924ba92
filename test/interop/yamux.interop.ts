/** Our yamux beside hashicorp's, over TLS 1.3, in either role. */
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { YamuxError } from '../../tunnel-fargate/yamux/error.ts';
import type { YamuxStream } from '../../tunnel-fargate/yamux/stream.ts';
import { eventually } from '../stack/poll.ts';
import {
  bytesFrom,
  type EchoOptions,
  type EchoPeer,
  hashOf,
  makeEchoPeers,
  sentAndReturned,
} from './echo-peer.ts';

const kib = 1024;
const bulk = 20_000_000;

let peers: Awaited<ReturnType<typeof makeEchoPeers>>;
beforeAll(async () => {
  peers = await makeEchoPeers();
});
afterAll(() => peers.remove());

describe.each(['server', 'client'] as const)('hashicorp/yamux as the %s', (goRole) => {
  let peer: EchoPeer;
  const start = async (options: Omit<EchoOptions, 'goRole'> = {}) =>
    (peer = await peers.start({ goRole, ...options }));
  afterEach(() => peer.close());

  test('100 streams of 200 KiB from each side at once come back as they were sent', async () => {
    const { go, session } = await start();
    const theirs = go.obey(`open 100 ${200 * kib}`, 'opened');
    const ours = await Promise.all(
      Array.from({ length: 100 }, async (_, seed) => {
        const bytes = bytesFrom(seed, 200 * kib);
        const returned = await sentAndReturned(session.open(), bytes);
        return returned.bytes === bytes.length && returned.hash === hashOf(bytes);
      }),
    );
    expect(ours.filter(Boolean)).toHaveLength(100);
    expect(await theirs).toMatchObject({ streams: 100, bytes: 100 * 200 * kib });
    expect((await theirs).error).toBeUndefined();
    await eventually('no stream is left', 5_000, () => session.streamCount === 0);
    expect(go.complaints).toBe('');
  });

  test.each([256 * kib, 16_384 * kib])(
    '20 MB through one stream from each side come back, with a window of ours of %d bytes',
    async (window) => {
      const { go, session } = await start({ session: { initialWindow: window, acceptedWindow: window } });
      const theirs = go.obey(`open 1 ${bulk}`, 'opened');
      const bytes = bytesFrom(1, bulk);
      expect(await sentAndReturned(session.open(), bytes)).toEqual({ bytes: bulk, hash: hashOf(bytes) });
      expect(await theirs).toMatchObject({ bytes: bulk });
      expect((await theirs).error).toBeUndefined();
      expect(go.complaints).toBe('');
    },
  );

  test('a stream that Go has half-closed still takes all that we send', async () => {
    const { go, session } = await start({ onStream: (stream) => void answerAfterEnd(stream) });
    expect(await go.obey(`open 1 ${1024 * kib}`, 'opened')).toEqual({
      event: 'opened',
      streams: 1,
      bytes: 1024 * kib,
      pings: 0,
      goAways: 0,
    });
    await eventually('no stream is left', 5_000, () => session.streamCount === 0);
    expect(go.complaints).toBe('');
  });

  test('our reset ends the stream at Go with "connection reset", and no other', async () => {
    const { go, session } = await start();
    const other = session.open();
    const stream = session.open();
    stream.write('before');
    expect(String(await once(stream, 'data'))).toBe('before');
    stream.reset();
    expect(await go.event('echo ended')).toMatchObject({ bytes: 6, error: 'connection reset' });
    const bytes = bytesFrom(2, 64 * kib);
    expect((await sentAndReturned(other, bytes)).hash).toBe(hashOf(bytes));
    expect(go.complaints).toBe('');
  });

  test('a reset of Go ends the stream here with STREAM_RESET, and no other', async () => {
    const failures: unknown[] = [];
    const { go, session } = await start({
      flags: { 'stream-close-timeout': '100ms' },
      onStream: (stream) =>
        void stream.on('error', (error: YamuxError) => failures.push(error.code)).resume(),
    });
    const stream = session.open();
    await go.obey('abandon', 'abandoned');
    await eventually('the reset', 5_000, () => failures.length > 0);
    expect(failures).toEqual(['STREAM_RESET']);
    const bytes = bytesFrom(3, 64 * kib);
    expect((await sentAndReturned(stream, bytes)).hash).toBe(hashOf(bytes));
    expect(session.streamCount).toBe(0);
    expect(go.complaints).toBe('');
  });

  test('pings are answered both ways', async () => {
    const { go, session } = await start({ session: { pongDelayMs: 300 } });
    expect(await session.ping()).toBeGreaterThan(0);
    const { seconds, error } = await go.obey('ping', 'ping');
    expect(error).toBeUndefined();
    expect(seconds).toBeGreaterThan(0.29);
    expect(go.complaints).toBe('');
  });

  test('after our GoAway Go opens no stream, and those that live go on', async () => {
    const { go, session } = await start();
    const stream = session.open();
    session.goAway(0);
    // The answer to a ping comes after the GoAway was read.
    await session.ping();
    const { error } = await go.obey('open 1 1', 'opened');
    expect(error).toBe('remote end is not accepting connections');
    const bytes = bytesFrom(4, 512 * kib);
    expect((await sentAndReturned(stream, bytes)).hash).toBe(hashOf(bytes));
    expect(go.complaints).toBe('');
  });

  test('after the GoAway of Go open() throws SESSION_CLOSED, and streams that live go on', async () => {
    const { go, session } = await start();
    const stream = session.open();
    stream.write('x');
    await once(stream, 'data');
    await go.obey('goaway', 'goaway');
    // The answer to a ping comes after the GoAway.
    await session.ping();
    expect(() => session.open()).toThrow(expect.objectContaining({ code: 'SESSION_CLOSED' }));
    const bytes = bytesFrom(5, 512 * kib);
    expect((await sentAndReturned(stream, bytes)).hash).toBe(hashOf(bytes));
    expect(go.complaints).toBe('');
  });

  test('our close() is a plain EOF to Go', async () => {
    const { go, session } = await start();
    await go.event('connected');
    await session.close();
    expect(await go.event('lost')).toMatchObject({ error: 'EOF' });
    expect(go.complaints).toBe('');
  });

  test('the close of Go ends the session here with TRANSPORT_CLOSED and its streams with SESSION_CLOSED', async () => {
    const { go, session } = await start();
    const closed = reasonOf(session);
    const stream = session.open();
    const failure = once(stream, 'error');
    stream.write('x');
    await once(stream, 'data');
    await go.obey('close', 'close');
    expect(await closed).toBe('TRANSPORT_CLOSED');
    expect(await failure).toMatchObject([{ code: 'SESSION_CLOSED' }]);
    expect(go.complaints).toBe('');
  });

  test('a Go process that is killed ends the session here', async () => {
    const { go, session } = await start();
    await go.event('connected');
    const closed = reasonOf(session);
    go.signal('SIGKILL');
    expect(await closed).toMatch(/^(?:TRANSPORT_CLOSED|TRANSPORT_ERROR)$/);
  });

  test('a Go process that stands still ends the session here: KEEPALIVE_TIMEOUT', async () => {
    const { go, session } = await start({ session: { pingIntervalMs: 50, pingTimeoutMs: 400 } });
    await go.event('connected');
    const closed = reasonOf(session);
    go.signal('SIGSTOP');
    expect(await closed).toBe('KEEPALIVE_TIMEOUT');
    go.signal('SIGCONT');
  });

  test('silence of ours ends the session of Go: its keepalive timeout, in words in its log', async () => {
    const { go, socket } = await start({ flags: { 'write-timeout': '400ms' } });
    socket.pause();
    expect(await go.event('lost')).toMatchObject({ error: 'keepalive timeout' });
    expect(go.log).toMatch(/^\S+ \S+ \[ERR\] yamux: keepalive failed: i\/o deadline reached\n$/);
  });
});

/** Sends back what came, once the peer has half-closed. */
async function answerAfterEnd(stream: YamuxStream): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  stream.end(Buffer.concat(chunks));
}

async function reasonOf(session: EchoPeer['session']): Promise<string | undefined> {
  const [reason] = (await once(session, 'close')) as [YamuxError | undefined];
  return reason?.code;
}
