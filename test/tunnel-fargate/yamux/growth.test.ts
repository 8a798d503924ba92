import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { afterEach, describe, expect, test } from '@jest/globals';
import { YamuxSession } from '../../../tunnel-fargate/yamux/session.ts';
import type { SessionOptions } from '../../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../../tunnel-fargate/yamux/stream.ts';
import { BoundedBudget } from '../../../tunnel-fargate/yamux/window-budget.ts';
import { ACK, DATA, FIN, GOAWAY, PING, raw, rig, RST, SYN, UPDATE, until } from './raw-peer.ts';
import type { Rig } from './raw-peer.ts';

const WINDOW = 262_144;
const MIB = 1_048_576;

type Room = Rig & { clock: { now: number }; budget: BoundedBudget };

/** A session whose windows may grow, with a clock and a budget of its own. */
function room(options: Partial<SessionOptions> = {}, limit = 64 * MIB): Room {
  const clock = { now: 0 };
  const budget = new BoundedBudget({ limit });
  const one = rig({ maxWindow: 16 * MIB, windowBudget: budget, now: () => clock.now, ...options });
  rooms.add(one);
  return { ...one, clock, budget };
}

/** A session left alone would miss the answer to its ping after 10 s, when other tests run. */
const rooms = new Set<Rig>();
afterEach(() => {
  for (const { session } of rooms) session.destroy();
  rooms.clear();
});

async function accept({ peer, session }: Rig, id = 1): Promise<YamuxStream> {
  peer.send(raw(UPDATE, SYN, id, 0));
  const [stream] = (await once(session, 'stream')) as [YamuxStream];
  return stream.on('error', () => undefined);
}

/** Answers the session's ping after so many ms of its clock. */
async function measure({ peer, clock }: Room, rttMs: number): Promise<void> {
  const { length } = await peer.sees(PING, SYN);
  clock.now += rttMs;
  peer.send(raw(PING, ACK, 0, length));
  await peer.settled();
}

/** What the session has granted on a stream beyond the start, bytes. */
function credit({ peer }: Rig, id: number): number {
  return peer.sent(UPDATE, undefined, id).reduce((sum, { length }) => sum + length, 0);
}

/** Fills the window of a stream that is read at once; resolves with the size of it afterwards. */
async function fill(one: Room, id: number, window: number): Promise<number> {
  const before = credit(one, id);
  one.clock.now += 1;
  one.peer.send(raw(DATA, 0, id, window, Buffer.alloc(window)));
  await one.peer.settled();
  return credit(one, id) - before;
}

describe('measuring', () => {
  test('sends one ping at its first stream, and no more: idle sessions stay cheap', async () => {
    const one = room();
    await one.peer.settled();
    expect(one.peer.sent(PING, SYN)).toEqual([]);
    one.session.open().on('error', () => undefined);
    one.session.open().on('error', () => undefined);
    await measure(one, 10);
    one.session.open().on('error', () => undefined);
    await accept(one);
    await one.peer.settled();
    expect(one.peer.sent(PING, SYN)).toHaveLength(1);
  });

  test('sends none when its windows do not grow', async () => {
    const one = room({ maxWindow: WINDOW });
    one.session.open().on('error', () => undefined);
    await one.peer.settled();
    expect(one.peer.sent(PING, SYN)).toEqual([]);
  });

  test('judges by the shortest round trip: a queue of ours on the path does not widen the windows', async () => {
    const one = room();
    const stream = await accept(one);
    stream.resume();
    await measure(one, 10);
    const asked = one.session.ping();
    const { length } = await one.peer.sees(PING, SYN, 0, 2);
    one.clock.now += 5_000;
    one.peer.send(raw(PING, ACK, 0, length));
    expect(await asked).toBe(5_000);
    await fill(one, 1, WINDOW);
    one.clock.now += 1_000;
    expect(await fill(one, 1, WINDOW)).toBe(WINDOW);
  });
});

describe('growing', () => {
  test.each(['ours', 'theirs'])(
    'doubles the window of a busy stream of %s to 16 MiB and no further',
    async (origin) => {
      const one = room();
      const stream =
        origin === 'theirs' ? await accept(one) : one.session.open().on('error', () => undefined);
      stream.resume();
      await measure(one, 10);
      const sizes: number[] = [];
      for (let size = WINDOW, round = 0; round < 8; round += 1) {
        size = await fill(one, stream.id, size);
        sizes.push(size / WINDOW);
      }
      // The first update of a stream only starts the clock. A window that doubles is credited with what was read and as
      // much again.
      expect(sizes[0]).toBe(1);
      expect(Math.max(...sizes)).toBe(64);
      expect(one.budget.inUse).toBe(16 * MIB);
      expect(one.session.closed).toBe(false);
      stream.destroy();
      expect(one.budget.inUse).toBe(0);
    },
  );

  test('keeps to the granted window: a byte beyond it is still RECV_WINDOW_EXCEEDED', async () => {
    const one = room();
    const stream = await accept(one);
    stream.resume();
    await measure(one, 10);
    await fill(one, 1, WINDOW);
    await fill(one, 1, WINDOW);
    stream.pause();
    await one.peer.settled();
    const total = WINDOW + credit(one, 1) - 2 * WINDOW;
    expect(total).toBe(2 * WINDOW);
    one.peer.send(raw(DATA, 0, 1, total, Buffer.alloc(total)));
    await one.peer.settled();
    expect(one.session.closed).toBe(false);
    one.peer.send(raw(DATA, 0, 1, 1));
    await expect(one.closed).resolves.toMatchObject({ code: 'RECV_WINDOW_EXCEEDED' });
    expect(one.budget.inUse).toBe(0);
  });

  test('does not grow for a reader that stalls', async () => {
    const one = room();
    await accept(one);
    await measure(one, 10);
    one.peer.send(raw(DATA, 0, 1, WINDOW, Buffer.alloc(WINDOW)));
    await one.peer.settled();
    expect(credit(one, 1)).toBe(0);
    expect(one.budget.inUse).toBe(WINDOW);
  });
});

describe('memory of a stream', () => {
  test('holds a window of one-byte frames for a stalled reader in the bytes of its window, and not one frame more', async () => {
    const one = room();
    const stream = await accept(one);
    const frame = raw(DATA, 0, 1, 1, Buffer.from('x'));
    const frames = Buffer.alloc(frame.length * WINDOW);
    for (let index = 0; index < WINDOW; index += 1) frame.copy(frames, index * frame.length);
    one.peer.send(frames);
    await one.peer.settled();
    expect(one.budget.inUse).toBe(WINDOW);
    const memory = new Set<ArrayBufferLike>();
    let pieces = 0;
    let read = 0;
    stream.on('data', (chunk: Buffer) => {
      memory.add(chunk.buffer);
      pieces += 1;
      read += chunk.length;
    });
    await until(() => read === WINDOW);
    const held = [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0);
    // The first byte was passed on as it came, a view into the whole input.
    expect(held).toBeLessThanOrEqual(frames.buffer.byteLength + WINDOW + 16_384);
    expect(pieces).toBeLessThan(30);
    await one.peer.settled();
    one.peer.send(raw(DATA, 0, 1, WINDOW + 1));
    await expect(one.closed).resolves.toMatchObject({ code: 'RECV_WINDOW_EXCEEDED' });
  });
});

describe('a short budget', () => {
  test('refuses a new stream of ours with STREAM_LIMIT, and takes it again when another has ended', async () => {
    const one = room({}, 2 * WINDOW);
    const first = one.session.open().on('error', () => undefined);
    one.session.open().on('error', () => undefined);
    expect(() => one.session.open()).toThrow(expect.objectContaining({ code: 'STREAM_LIMIT' }));
    first.reset();
    expect(one.session.open().on('error', () => undefined).id).toBe(6);
    await one.peer.settled();
    expect(one.session.closed).toBe(false);
  });

  test("resets the peer's stream, drops what it sends on it, and keeps the session", async () => {
    const one = room({}, WINDOW);
    const ids: number[] = [];
    one.session.on('stream', (stream) => ids.push(stream.on('error', () => undefined).id));
    one.peer.send(raw(UPDATE, SYN, 1, 0), raw(DATA, SYN, 3, 5, Buffer.from('never')), raw(UPDATE, SYN, 5, 0));
    await one.peer.settled();
    one.peer.send(raw(DATA, 0, 3, 5, Buffer.from('heard')), raw(UPDATE, FIN, 3, 0));
    await one.peer.settled();
    expect(ids).toEqual([1]);
    expect(one.peer.sent(UPDATE, RST).map(({ id }) => id)).toEqual([3, 5]);
    expect(one.peer.sent(GOAWAY)).toEqual([]);
    expect(one.session.closed).toBe(false);
  });

  test('is felt at every level: what one session holds, another of the same parent cannot', () => {
    const parent = new BoundedBudget({ limit: 2 * WINDOW });
    const one = room({ windowBudget: new BoundedBudget({ limit: 64 * MIB, parent }) });
    const other = room({ windowBudget: new BoundedBudget({ limit: 64 * MIB, parent }) });
    for (let index = 0; index < 2; index += 1) one.session.open().on('error', () => undefined);
    expect(() => other.session.open()).toThrow(expect.objectContaining({ code: 'STREAM_LIMIT' }));
    one.session.destroy();
    expect(parent.inUse).toBe(0);
    expect(other.session.open().on('error', () => undefined).id).toBe(2);
  });

  test('makes a grown window give way to new streams, without a byte lost', async () => {
    const one = room({}, 8 * MIB);
    const stream = await accept(one);
    let read = 0;
    stream.on('data', (chunk: Buffer) => void (read += chunk.length));
    await measure(one, 10);
    let allowed = WINDOW;
    let sent = 0;
    while (one.budget.inUse < 4 * MIB) {
      sent += allowed;
      allowed = await fill(one, 1, allowed);
    }
    const streams = Array.from({ length: 16 }, () => one.session.open().on('error', () => undefined));
    expect(one.budget.inUse).toBe(8 * MIB);
    for (let round = 0; round < 12 && one.budget.inUse > 5 * MIB; round += 1) {
      const bytes = Math.min(WINDOW, sent + allowed - read);
      one.peer.send(raw(DATA, 0, 1, bytes, Buffer.alloc(bytes)));
      sent += bytes;
      await one.peer.settled();
      allowed = WINDOW + credit(one, 1) - sent;
    }
    expect(one.budget.inUse).toBeLessThanOrEqual(6 * MIB);
    expect(read).toBe(sent);
    expect(one.session.closed).toBe(false);
    for (const each of [stream, ...streams]) each.destroy();
    expect(one.budget.inUse).toBe(0);
  });
});

describe('giving back', () => {
  test('keeps what is unread of a stream that is over until it is read', async () => {
    const one = room();
    const stream = await accept(one);
    one.peer.send(raw(DATA, FIN, 1, 5000, Buffer.alloc(5000)));
    stream.end();
    await until(() => one.session.streamCount === 0);
    expect(one.budget.inUse).toBe(5000);
    stream.resume();
    await once(stream, 'close');
    expect(one.budget.inUse).toBe(0);
  });

  test('returns the window of a stream at the moment it is destroyed, though its id waits for the FIN of the peer', async () => {
    const one = room();
    const stream = await accept(one);
    stream.end();
    await one.peer.sees(UPDATE, FIN, 1);
    stream.destroy();
    expect(one.budget.inUse).toBe(0);
    one.peer.send(raw(DATA, 0, 1, WINDOW, Buffer.alloc(WINDOW)));
    await one.peer.settled();
    expect(one.session.streamCount).toBe(1);
    expect(one.budget.inUse).toBe(0);
    expect(credit(one, 1)).toBe(0);
  });

  test.each([
    ['the peer resets them', (one: Room) => one.peer.send(raw(UPDATE, RST, 1, 0), raw(UPDATE, RST, 2, 0))],
    ['the peer breaks the protocol', (one: Room) => one.peer.send(Buffer.from('ff'.repeat(12), 'hex'))],
    ['the transport ends', (one: Room) => one.peer.end()],
    ['the session is destroyed', (one: Room) => one.session.destroy(new Error('enough'))],
    ['the session is closed', (one: Room) => void one.session.close()],
    ['nobody took them from the backlog, and the session is destroyed', (one: Room) => one.session.destroy()],
  ])('returns every window when %s', async (what, end) => {
    const one = room();
    if (!what.startsWith('nobody')) one.session.on('stream', (stream) => stream.on('error', () => undefined));
    one.session.open().on('error', () => undefined);
    await one.peer.sees(UPDATE, SYN, 2);
    one.peer.send(raw(DATA, SYN, 1, 100, Buffer.alloc(100)));
    await one.peer.settled();
    expect(one.budget.inUse).toBe(2 * WINDOW);
    end(one);
    await until(() => one.budget.inUse === 0);
  });

  test('returns everything after 3,000 streams that ended in every way', async () => {
    let state = 20_261_123;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 8) % below;
    };
    const process = new BoundedBudget({ limit: 24 * MIB });
    for (let life = 0; life < 30; life += 1) {
      const [left, right] = duplexPair();
      const side = (transport: typeof left, role: 'client' | 'server') =>
        new YamuxSession(transport, {
          role,
          maxWindow: 4 * MIB,
          windowBudget: new BoundedBudget({ limit: 16 * MIB, parent: process }),
        });
      const sides = [side(left, 'client'), side(right, 'server')];
      const streams: YamuxStream[] = [];
      const live = (stream: YamuxStream) => {
        streams.push(stream.on('error', () => undefined));
        if (random(3) > 0) stream.resume();
        const ends = [
          () => stream.end(Buffer.alloc(random(400_000))),
          () => stream.write(Buffer.alloc(random(10_000)), () => stream.destroy()),
          () => stream.reset(),
          () => stream.destroy(new Error('enough')),
          () => stream.end(() => void setImmediate(() => stream.destroy())),
        ];
        ends[random(ends.length)]?.();
      };
      for (const session of sides) session.on('stream', live);
      for (let index = 0; index < 100; index += 1) {
        try {
          const session = sides[random(2)];
          if (session !== undefined) live(session.open());
        } catch (error) {
          expect(error).toMatchObject({ code: 'STREAM_LIMIT' });
        }
        expect(process.inUse).toBeLessThanOrEqual(24 * MIB);
        if (random(4) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const [first] = sides;
      if (random(2) === 0) first?.destroy();
      else await first?.close();
      await until(() => sides.every(({ closed }) => closed));
      // Those that are over but not read hold what they have.
      for (const stream of streams) stream.resume();
      await until(() => streams.every(({ closed }) => closed));
      expect(process.inUse).toBe(0);
    }
  });
});

describe('credit and FIN', () => {
  test("grants nothing with the ACK of a stream whose peer's FIN has come", async () => {
    const one = room({ acceptedWindow: MIB });
    one.peer.send(raw(UPDATE, SYN | FIN, 1, 0));
    one.session.on('stream', (stream) => stream.on('error', () => undefined));
    expect((await one.peer.sees(UPDATE, ACK, 1)).length).toBe(0);
  });

  test("drops credit that was due when the peer's FIN came before it left", async () => {
    const one = room();
    (await accept(one)).resume();
    await one.peer.settled();
    one.peer.send(raw(DATA, 0, 1, 200_000, Buffer.alloc(200_000)), raw(UPDATE, FIN, 1, 0));
    await one.peer.settled();
    expect(credit(one, 1)).toBe(0);
  });
});
