import { EventEmitter, once } from 'node:events';
import { duplexPair } from 'node:stream';
import { describe, expect, jest, test } from '@jest/globals';
import { YamuxSession } from '../../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../../tunnel-fargate/yamux/stream.ts';
import { ACK, DATA, FIN, GOAWAY, PING, raw, rig, RST, SYN, UPDATE, until } from './raw-peer.ts';

describe('accepting', () => {
  test('holds streams back until someone listens, ACKs them on delivery and resets those beyond the backlog', async () => {
    const { peer, session } = rig({ acceptBacklog: 2 });
    for (const id of [1, 3, 5]) peer.send(raw(DATA, SYN, id, 1, Buffer.from(String(id))));
    await peer.settled();
    expect(peer.sent(UPDATE).map(({ flags, id }) => [flags, id])).toEqual([[RST, 5]]);
    const ids: number[] = [];
    session.on('stream', (stream) => ids.push(stream.id));
    await peer.sees(UPDATE, ACK, 3);
    expect(ids).toEqual([1, 3]);
    peer.send(raw(UPDATE, SYN, 7, 0));
    await peer.sees(UPDATE, ACK, 7);
    expect(session.streamCount).toBe(3);
  });

  test('gives a once-listener one stream and keeps the next for the next listener', async () => {
    const { peer, session } = rig();
    peer.send(raw(UPDATE, SYN, 1, 0), raw(UPDATE, SYN, 3, 0));
    const [first] = (await once(session, 'stream')) as [YamuxStream];
    const [second] = (await once(session, 'stream')) as [YamuxStream];
    expect([first.id, second.id]).toEqual([1, 3]);
  });

  test('forgets an undelivered stream that its peer resets, without an error nobody could hear', async () => {
    const { peer, session } = rig();
    peer.send(raw(UPDATE, SYN, 1, 0), raw(UPDATE, RST, 1, 0));
    await peer.settled();
    expect(session.streamCount).toBe(0);
    session.on('stream', () => {
      throw new Error('delivered a dead stream');
    });
    await peer.settled();
  });

  test('resets streams beyond maxStreams, and open() throws STREAM_LIMIT', async () => {
    const { peer, session } = rig({ maxStreams: 2 });
    session.on('stream', () => undefined);
    session.open();
    peer.send(raw(UPDATE, SYN, 1, 0), raw(DATA, SYN, 3, 5, Buffer.from('extra')));
    await peer.sees(UPDATE, RST, 3);
    await peer.sees(UPDATE, ACK, 1);
    expect(() => session.open()).toThrow(expect.objectContaining({ code: 'STREAM_LIMIT' }));
    expect(session.closed).toBe(false);
  });

  test('ends the session, and lets the error through, when a listener throws while a frame is read', async () => {
    const { session, transport, closed } = rig();
    session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      throw new Error('listener');
    });
    expect(() => transport.emit('data', raw(UPDATE, SYN, 1, 0))).toThrow('listener');
    await expect(closed).resolves.toMatchObject({ code: 'SESSION_DESTROYED', message: 'listener' });
  });
});

describe('going away', () => {
  test('refuses new streams in both directions after our goAway(), and lets live ones go on', async () => {
    const { peer, session } = rig();
    const live = session.open();
    await peer.sees(UPDATE, SYN, 2);
    session.goAway(0);
    expect((await peer.sees(GOAWAY)).length).toBe(0);
    expect(() => session.open()).toThrow(expect.objectContaining({ code: 'SESSION_CLOSED' }));
    peer.send(raw(UPDATE, SYN, 1, 0));
    await peer.sees(UPDATE, RST, 1);
    live.write('still here');
    expect((await peer.sees(DATA, 0, 2)).payload.toString()).toBe('still here');
  });

  test("opens nothing after the peer's GoAway 0, and lives", async () => {
    const { peer, session } = rig();
    peer.send(raw(GOAWAY, 0, 0, 0));
    await peer.settled();
    expect(() => session.open()).toThrow(expect.objectContaining({ code: 'SESSION_CLOSED' }));
    expect(session.closed).toBe(false);
  });

  test.each([1, 2, 9])(
    "ends in order with REMOTE_GOAWAY on the peer's GoAway %d, without one of its own",
    async (code) => {
      const { peer, closed } = rig();
      peer.send(raw(GOAWAY, 0, 0, code));
      await expect(closed).resolves.toMatchObject({ code: 'REMOTE_GOAWAY' });
      await until(() => peer.ended);
      expect(peer.sent(GOAWAY)).toEqual([]);
    },
  );
});

describe('the end', () => {
  test('close() sends what is queued, ends the transport without GoAway, drains the unread and resolves after the peer has ended', async () => {
    const { peer, session, transport, closed } = rig();
    const stream = session.open();
    const lost = once(stream, 'error');
    stream.write('last words');
    let resolved = false;
    const closing = session.close().then(() => void (resolved = true));
    expect(session.closed).toBe(true);
    expect((await lost)[0]).toMatchObject({ code: 'SESSION_CLOSED' });
    await until(() => peer.ended);
    peer.send(Buffer.alloc(300_000, 0xff));
    await new Promise((resolve) => setImmediate(resolve));
    expect(resolved).toBe(false);
    peer.end();
    await closing;
    expect(await closed).toBeUndefined();
    expect(transport.destroyed).toBe(true);
    expect(peer.sent(DATA).map(({ payload }) => payload.toString())).toEqual(['last words']);
    expect(peer.sent(GOAWAY)).toEqual([]);
    expect(peer.sent(UPDATE, RST)).toEqual([]);
  });

  test('close() drains a transport that was paused, without waiting for its bound', async () => {
    const { peer, session, transport } = rig();
    transport.pause();
    peer.send(Buffer.alloc(100_000));
    peer.end();
    const start = performance.now();
    await session.close();
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  test('close() destroys a transport whose peer never ends, after its bound', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    try {
      const { session, transport } = rig();
      const closing = session.close();
      jest.advanceTimersByTime(4_999);
      expect(transport.destroyed).toBe(false);
      jest.advanceTimersByTime(1);
      await closing;
      expect(transport.destroyed).toBe(true);
    } finally {
      jest.useRealTimers();
    }
  });

  test('close() may be called again, and after the end', async () => {
    const { peer, session, closed } = rig();
    let count = 0;
    session.on('close', () => void (count += 1));
    const first = session.close();
    expect(session.close()).toBe(first);
    peer.end();
    await first;
    await session.close();
    session.destroy();
    await closed;
    expect(count).toBe(1);
  });

  test('destroys every stream with SESSION_CLOSED, fails their writes and reports TRANSPORT_CLOSED when the peer ends', async () => {
    const { peer, session, closed } = rig();
    const codes: unknown[] = [];
    const streams = Array.from({ length: 20 }, () => session.open());
    for (const stream of streams) {
      stream.on('error', (error: Error & { code?: string }) => codes.push(error.code));
      stream.write(Buffer.alloc(300_000), (error) =>
        codes.push((error as (Error & { code?: string }) | null)?.code),
      );
    }
    peer.end();
    await expect(closed).resolves.toMatchObject({ code: 'TRANSPORT_CLOSED' });
    await until(() => codes.length === 40);
    expect(new Set(codes)).toEqual(new Set(['SESSION_CLOSED']));
    expect(session.streamCount).toBe(0);
    expect(() => session.open()).toThrow(expect.objectContaining({ code: 'SESSION_CLOSED' }));
    await expect(session.ping()).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
  });

  test.each([
    ['a header', raw(PING, SYN, 0, 1).subarray(0, 11)],
    ['a payload', raw(DATA, SYN, 1, 10, Buffer.from('only'))],
  ])('reports TRUNCATED_FRAME when the input ends inside %s', async (_where, bytes) => {
    const { peer, closed } = rig();
    peer.send(bytes);
    peer.end();
    await expect(closed).resolves.toMatchObject({ code: 'TRUNCATED_FRAME' });
  });

  test('reports TRANSPORT_ERROR with its cause', async () => {
    const { transport, closed } = rig();
    const cause = new Error('ECONNRESET');
    transport.destroy(cause);
    await expect(closed).resolves.toMatchObject({ code: 'TRANSPORT_ERROR', cause });
  });

  test('destroy() ends at once; its error is the reason', async () => {
    const plain = rig();
    plain.session.destroy();
    expect(await plain.closed).toBeUndefined();
    expect(plain.transport.destroyed).toBe(true);
    const broken = rig();
    broken.session.destroy(new Error('why'));
    await expect(broken.closed).resolves.toMatchObject({ code: 'SESSION_DESTROYED', message: 'why' });
  });

  test.each(['destroyed', 'ended'])('closes at once on a transport that is already %s', async (how) => {
    const [ours] = duplexPair();
    if (how === 'destroyed') {
      ours.destroy();
      await once(ours, 'close');
    } else {
      ours.end();
    }
    const session = new YamuxSession(ours, { role: 'server' });
    const [reason] = (await once(session, 'close')) as [unknown];
    expect(reason).toMatchObject({ code: 'TRANSPORT_CLOSED' });
    await session.close();
  });

  test.each(['initialWindow', 'acceptedWindow'])('refuses an %s below the minimum of the wire', (option) => {
    const [ours] = duplexPair();
    expect(() => new YamuxSession(ours, { role: 'server', [option]: 262_143 })).toThrow(RangeError);
  });

  test('stops reading from a peer that asks for refusals but does not take them, and goes on when it does', async () => {
    const { peer, session, transport } = rig({ maxStreams: 0 }, { highWaterMark: 1024 });
    peer.pause();
    for (let id = 1; id < 20_000; id += 2) peer.send(raw(UPDATE, SYN, id, 0));
    await until(() => transport.isPaused());
    peer.resume();
    await peer.sees(UPDATE, RST, 19_999);
    expect(peer.sent(UPDATE, RST)).toHaveLength(10_000);
    expect(session.closed).toBe(false);
  });

  test('leaves no listener of its own on streams and needs none on itself', async () => {
    const { peer, session } = rig();
    expect(session).toBeInstanceOf(EventEmitter);
    peer.send(raw(UPDATE, SYN | FIN, 1, 0));
    const [stream] = (await once(session, 'stream')) as [YamuxStream];
    expect(stream.eventNames()).toEqual([]);
  });
});
