import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import type { YamuxError } from '../../../tunnel-fargate/yamux/error.ts';
import type { YamuxStream } from '../../../tunnel-fargate/yamux/stream.ts';
import { ACK, DATA, FIN, raw, rig, RST, SYN, UPDATE, until } from './raw-peer.ts';
import type { Rig } from './raw-peer.ts';

const WINDOW = 262_144;

async function accept({ peer, session }: Rig, id = 1): Promise<YamuxStream> {
  peer.send(raw(UPDATE, SYN, id, 0));
  const [stream] = (await once(session, 'stream')) as [YamuxStream];
  return stream;
}

describe('opening', () => {
  test('sends SYN once, in a window update, before the first data, with even ids from 2 for a server', async () => {
    const { peer, session } = rig();
    session.open().write('a');
    session.open().write('b');
    await peer.sees(DATA, 0, 4);
    expect(peer.frames.map(({ type, flags, id }) => [type, flags, id])).toEqual([
      [UPDATE, SYN, 2],
      [UPDATE, SYN, 4],
      [DATA, 0, 2],
      [DATA, 0, 4],
    ]);
  });

  test('sends SYN before the data of a stream that a write callback has opened', async () => {
    const { peer, session } = rig();
    session.open().write('a', () => void session.open().write('b'));
    await peer.sees(DATA, 0, 4);
    expect(peer.frames.map(({ type, flags, id }) => [type, flags, id])).toEqual([
      [UPDATE, SYN, 2],
      [DATA, 0, 2],
      [UPDATE, SYN, 4],
      [DATA, 0, 4],
    ]);
  });

  test('opens odd ids from 1 as a client', () => {
    const { session } = rig({ role: 'client' });
    expect([session.open().id, session.open().id, session.open().id]).toEqual([1, 3, 5]);
  });

  test('grants a larger window with its SYN', async () => {
    const { peer, session } = rig({ initialWindow: 1_048_576 });
    session.open();
    expect((await peer.sees(UPDATE, SYN, 2)).length).toBe(1_048_576 - WINDOW);
  });

  test('grants the peer no more on streams that it opens: its choice of how many must not cost us more', async () => {
    const room = rig({ initialWindow: 1_048_576 });
    await accept(room);
    expect((await room.peer.sees(UPDATE, ACK, 1)).length).toBe(0);
  });

  test('grants a larger window with its ACK when it is meant for the streams of the peer, and only for them', async () => {
    const room = rig({ acceptedWindow: 524_288 });
    await accept(room);
    expect((await room.peer.sees(UPDATE, ACK, 1)).length).toBe(524_288 - WINDOW);
    room.session.open();
    expect((await room.peer.sees(UPDATE, SYN, 2)).length).toBe(0);
  });

  test('ACKs a stream of the peer exactly once, even when both sides talk', async () => {
    const room = rig();
    const stream = await accept(room);
    stream.write('x');
    room.peer.send(raw(DATA, 0, 1, 1, Buffer.from('y')), raw(UPDATE, 0, 1, 100));
    await room.peer.sees(DATA, 0, 1);
    await room.peer.settled();
    expect(room.peer.sent(UPDATE, ACK, 1)).toHaveLength(1);
    expect(room.peer.frames.filter(({ flags, id }) => id === 1 && (flags & ACK) !== 0)).toHaveLength(1);
  });

  test('never uses an id again', async () => {
    const { peer, session } = rig();
    const first = session.open();
    await peer.sees(UPDATE, SYN, 2);
    first.reset();
    await peer.sees(UPDATE, RST, 2);
    expect(session.open().id).toBe(4);
  });

  test('says nothing of a stream that was opened and destroyed in the same tick', async () => {
    const { peer, session } = rig();
    session.open().reset();
    await peer.settled();
    expect(peer.frames.filter(({ id }) => id === 2)).toEqual([]);
    expect(session.streamCount).toBe(0);
  });
});

describe('sending', () => {
  test('cuts data into frames of at most 64 KiB and stops at the window of the peer until it grants more', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    const bytes = Buffer.alloc(WINDOW + 1000, 'abcdefg');
    stream.write(bytes);
    await until(() => peer.sent(DATA).reduce((sum, frame) => sum + frame.length, 0) === WINDOW);
    await peer.settled();
    expect(peer.sent(DATA).map(({ length }) => length)).toEqual([65_536, 65_536, 65_536, 65_536]);
    peer.send(raw(UPDATE, ACK, 2, 600));
    expect((await peer.sees(DATA, 0, 2, 5)).length).toBe(600);
    peer.send(raw(UPDATE, 0, 2, 5000));
    expect((await peer.sees(DATA, 0, 2, 6)).length).toBe(400);
    expect(Buffer.concat(peer.sent(DATA).map(({ payload }) => payload)).equals(bytes)).toBe(true);
  });

  test('puts what is written in one tick, and under one cork, into one data frame', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    stream.write('one ');
    stream.write('tick ');
    stream.write('only');
    expect((await peer.sees(DATA)).payload.toString()).toBe('one tick only');
    stream.cork();
    stream.write('head');
    await peer.settled();
    stream.write('+body');
    stream.uncork();
    expect((await peer.sees(DATA, 0, 2, 2)).payload.toString()).toBe('head+body');
  });

  test('hold() completes writes at once and release() sends them in one data frame', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    stream.hold();
    for (const record of ['head ', 'and ', 'byte']) {
      await new Promise((resolve) => stream.write(record, resolve));
      await peer.settled();
    }
    expect(peer.sent(DATA)).toEqual([]);
    stream.release();
    expect((await peer.sees(DATA)).payload.toString()).toBe('head and byte');
    await new Promise((resolve) => stream.write('after', resolve));
    expect((await peer.sees(DATA, 0, 2, 2)).payload.toString()).toBe('after');
  });

  test('hold() takes in a write that has not left yet', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    stream.write('early ');
    stream.hold();
    await new Promise((resolve) => stream.write('and late', resolve));
    await peer.settled();
    expect(peer.sent(DATA)).toEqual([]);
    stream.release();
    expect((await peer.sees(DATA)).payload.toString()).toBe('early and late');
  });

  test.each([
    ['more than a frame', (stream: YamuxStream) => void stream.write(Buffer.alloc(65_536))],
    ['end()', (stream: YamuxStream) => void stream.end(Buffer.alloc(65_535))],
  ])('hold() gives way to %s', async (_what, act) => {
    const { peer, session } = rig();
    const stream = session.open();
    stream.hold();
    await new Promise((resolve) => stream.write('x', resolve));
    act(stream);
    expect((await peer.sees(DATA, 0, 2)).length).toBe(65_536);
  });

  test('completes a write when its last byte was handed on, and fails it when the stream is destroyed', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    stream.on('error', () => undefined);
    const outcomes: (string | undefined)[] = [];
    const note = (error: (Error & { code?: string }) | null | undefined) => void outcomes.push(error?.code);
    stream.write(Buffer.alloc(WINDOW), note);
    await until(() => outcomes.length === 1);
    stream.write('no window left', note);
    await peer.settled();
    expect(outcomes).toEqual([undefined]);
    stream.reset();
    await until(() => outcomes.length === 2);
    expect(outcomes).toEqual([undefined, 'STREAM_CLOSED']);
    await peer.sees(UPDATE, RST, 2);
  });

  test('takes an empty write', async () => {
    const { session } = rig();
    const stream = session.open();
    await new Promise((resolve) => stream.write(Buffer.alloc(0), resolve));
    expect(session.closed).toBe(false);
  });

  test('sends FIN once, alone and after the last data', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    stream.end('bye');
    await peer.sees(UPDATE, FIN, 2);
    stream.end();
    await peer.settled();
    expect(peer.frames.filter(({ id }) => id === 2).map(({ type, flags }) => [type, flags])).toEqual([
      [UPDATE, SYN],
      [DATA, 0],
      [UPDATE, FIN],
    ]);
  });

  test('keeps FIN back while the window holds data back, and needs no window for FIN itself', async () => {
    const { peer, session } = rig();
    session.open().end(Buffer.alloc(WINDOW + 1));
    session.open().end(Buffer.alloc(WINDOW));
    await peer.sees(UPDATE, FIN, 4);
    expect(peer.sent(UPDATE, FIN, 2)).toEqual([]);
    peer.send(raw(UPDATE, ACK, 2, 1));
    await peer.sees(UPDATE, FIN, 2);
  });
});

describe('receiving', () => {
  test('returns credit once half a window was read, and not for what arrived beside', async () => {
    const room = rig();
    const stream = await accept(room);
    await room.peer.sees(UPDATE, ACK, 1);
    for (let sent = 0; sent < 200_000; sent += 10_000)
      room.peer.send(raw(DATA, 0, 1, 10_000, Buffer.alloc(10_000)));
    await room.peer.settled();
    for (let read = 0; read < WINDOW / 2 - 1;) {
      read += (stream.read(Math.min(9_999, WINDOW / 2 - 1 - read)) as Buffer | null)?.length ?? 0;
    }
    await room.peer.settled();
    expect(room.peer.sent(UPDATE, 0, 1)).toEqual([]);
    expect(stream.read(1)).toHaveLength(1);
    expect((await room.peer.sees(UPDATE, 0, 1)).length).toBe(WINDOW / 2);
  });

  test('returns no credit for bytes that merely arrived', async () => {
    const room = rig();
    await accept(room);
    for (let sent = 0; sent < WINDOW; sent += 8192) room.peer.send(raw(DATA, 0, 1, 8192, Buffer.alloc(8192)));
    await room.peer.settled();
    expect(room.peer.sent(UPDATE, 0, 1)).toEqual([]);
  });

  test("returns no credit after the peer's FIN", async () => {
    const room = rig();
    const stream = await accept(room);
    room.peer.send(raw(DATA, FIN, 1, WINDOW, Buffer.alloc(WINDOW)));
    await room.peer.settled();
    stream.resume();
    await once(stream, 'end');
    await room.peer.settled();
    expect(room.peer.sent(UPDATE, 0, 1)).toEqual([]);
  });

  test('gives exact sizes to read(n), over frames of any size', async () => {
    const room = rig();
    const stream = await accept(room);
    for (const piece of ['ab', 'cdefg', 'h', 'ijkl'])
      room.peer.send(raw(DATA, 0, 1, piece.length, Buffer.from(piece)));
    await room.peer.settled();
    const take = async (size: number) => {
      for (;;) {
        const bytes = stream.read(size) as Buffer | null;
        if (bytes !== null) return bytes.toString();
        await once(stream, 'readable');
      }
    };
    expect([await take(1), await take(8), await take(3)]).toEqual(['a', 'bcdefghi', 'jkl']);
  });
});

describe('ending', () => {
  test("shows the peer's FIN as 'end' and can still write after it", async () => {
    const room = rig();
    const stream = await accept(room);
    stream.resume();
    room.peer.send(raw(UPDATE, FIN, 1, 0));
    await once(stream, 'end');
    const gone = once(stream, 'close');
    stream.end('reply');
    expect((await room.peer.sees(DATA, 0, 1)).payload.toString()).toBe('reply');
    await room.peer.sees(UPDATE, FIN, 1);
    await gone;
    expect(room.session.streamCount).toBe(0);
    expect(room.peer.sent(UPDATE, RST)).toEqual([]);
  });

  test('still reads, with credit, after its own FIN', async () => {
    const { peer, session } = rig();
    const stream = session.open();
    let read = 0;
    stream.on('data', (chunk: Buffer) => void (read += chunk.length));
    stream.end();
    await peer.sees(UPDATE, FIN, 2);
    peer.send(raw(DATA, ACK, 2, 150_000, Buffer.alloc(150_000)));
    await peer.sees(UPDATE, 0, 2);
    peer.send(raw(UPDATE, FIN, 2, 0));
    await once(stream, 'close');
    expect(read).toBe(150_000);
    expect(session.streamCount).toBe(0);
  });

  test('forgets the id at the second FIN although the application has not read yet', async () => {
    const room = rig();
    const stream = await accept(room);
    room.peer.send(raw(DATA, FIN, 1, 4, Buffer.from('late')));
    stream.end();
    await room.peer.sees(UPDATE, FIN, 1);
    expect(room.session.streamCount).toBe(0);
    const chunks = await stream.toArray();
    expect(Buffer.concat(chunks as Buffer[]).toString()).toBe('late');
    expect(room.peer.sent(UPDATE, RST)).toEqual([]);
  });

  test.each([
    ['destroy()', (stream: YamuxStream) => stream.destroy()],
    ['destroy(error)', (stream: YamuxStream) => stream.destroy(new Error('mine'))],
    ['reset()', (stream: YamuxStream) => stream.reset()],
  ])('sends RST once for %s before both FINs, and drops what was not sent', async (_how, act) => {
    const room = rig();
    const stream = await accept(room);
    stream.on('error', () => undefined);
    stream.write('never');
    act(stream);
    act(stream);
    await room.peer.sees(UPDATE, RST, 1);
    await room.peer.settled();
    expect(room.peer.sent(UPDATE, RST, 1)).toHaveLength(1);
    expect(room.peer.sent(DATA)).toEqual([]);
    expect(room.session.streamCount).toBe(0);
  });

  test("after end() waits for the peer's FIN instead of resetting, and drops what still comes", async () => {
    const room = rig();
    const stream = await accept(room);
    stream.end('all of it');
    await room.peer.sees(UPDATE, FIN, 1);
    stream.destroy();
    room.peer.send(raw(DATA, 0, 1, 4, Buffer.from('late')));
    await room.peer.settled();
    expect(room.session.streamCount).toBe(1);
    room.peer.send(raw(UPDATE, FIN, 1, 0));
    await until(() => room.session.streamCount === 0);
    expect(room.peer.sent(UPDATE, RST, 1)).toEqual([]);
  });

  test('after end() resets at last when the peer sends no FIN', async () => {
    const room = rig({ closeTimeoutMs: 20 });
    const stream = await accept(room);
    stream.end('all of it');
    await room.peer.sees(UPDATE, FIN, 1);
    stream.destroy();
    await room.peer.sees(UPDATE, RST, 1);
    expect(room.session.streamCount).toBe(0);
  });

  test.each([
    ['destroy(error)', (stream: YamuxStream) => stream.destroy(new Error('mine'))],
    ['reset()', (stream: YamuxStream) => stream.reset()],
  ])('after end() still sends RST at once for %s', async (_how, act) => {
    const room = rig();
    const stream = await accept(room);
    stream.on('error', () => undefined);
    stream.end('all of it');
    await room.peer.sees(UPDATE, FIN, 1);
    act(stream);
    await room.peer.sees(UPDATE, RST, 1);
  });

  test("is destroyed with STREAM_RESET by the peer's RST, and answers nothing", async () => {
    const room = rig();
    const stream = await accept(room);
    const failed = once(stream, 'error');
    room.peer.send(raw(UPDATE, RST, 1, 0));
    expect((await failed)[0]).toMatchObject({ name: 'YamuxError', code: 'STREAM_RESET' });
    await room.peer.settled();
    expect(room.peer.sent(UPDATE, RST)).toEqual([]);
    expect(room.session.closed).toBe(false);
  });

  test('resets a stream whose FIN was never answered with CLOSE_TIMEOUT', async () => {
    const { peer, session } = rig({ closeTimeoutMs: 20 });
    const stream = session.open();
    const failed = once(stream, 'error');
    stream.end();
    expect(((await failed)[0] as YamuxError).code).toBe('CLOSE_TIMEOUT');
    await peer.sees(UPDATE, RST, 2);
    expect(session.streamCount).toBe(0);
  });

  test('does not time out a half-closed stream that still hears from its peer', async () => {
    let now = 0;
    const { peer, session } = rig({ closeTimeoutMs: 10, now: () => now });
    const stream = session.open().on('error', () => undefined);
    stream.resume().end();
    await peer.sees(UPDATE, FIN, 2);
    now = 9;
    peer.send(raw(DATA, 0, 2, 1, Buffer.from('x')));
    await peer.settled();
    now = 15;
    const fired = Promise.withResolvers<undefined>();
    setTimeout(() => fired.resolve(undefined), 15);
    await fired.promise;
    expect(stream.destroyed).toBe(false);
    now = 19;
    await until(() => stream.destroyed);
    expect(stream.errored).toMatchObject({ code: 'CLOSE_TIMEOUT' });
  });
});
