import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { ACK, PING, raw, rig, SYN, until } from './raw-peer.ts';
import type { Rig } from './raw-peer.ts';

const rooms: Rig[] = [];

function room(...args: Parameters<typeof rig>): Rig {
  const one = rig(...args);
  rooms.push(one);
  return one;
}

async function turn(): Promise<void> {
  for (let index = 0; index < 10; index += 1) await new Promise((resolve) => setImmediate(resolve));
}

function fakeClock(): void {
  jest.useFakeTimers({
    doNotFake: ['setImmediate', 'clearImmediate', 'nextTick', 'queueMicrotask', 'hrtime'],
  });
}

afterEach(() => {
  for (const { session } of rooms.splice(0)) session.destroy();
  jest.useRealTimers();
});

describe('answers', () => {
  test('answers a ping with its opaque value', async () => {
    const { peer } = room();
    peer.send(raw(PING, SYN, 0, 0xdeadbeef));
    expect((await peer.sees(PING, ACK)).length).toBe(0xdeadbeef);
  });

  test('holds each answer back for pongDelayMs, in order', async () => {
    fakeClock();
    const { peer } = room({ pongDelayMs: 3000 });
    peer.send(raw(PING, SYN, 0, 1));
    await turn();
    jest.advanceTimersByTime(1000);
    peer.send(raw(PING, SYN, 0, 2));
    await turn();
    jest.advanceTimersByTime(1990);
    await turn();
    expect(peer.sent(PING)).toEqual([]);
    jest.advanceTimersByTime(10);
    await turn();
    expect(peer.sent(PING, ACK).map(({ length }) => length)).toEqual([1]);
    jest.advanceTimersByTime(1000);
    await turn();
    expect(peer.sent(PING, ACK).map(({ length }) => length)).toEqual([1, 2]);
  });

  test('asks the real clock too: an answer does not leave early', async () => {
    const { peer } = room({ pongDelayMs: 30 });
    const start = performance.now();
    peer.send(raw(PING, SYN, 0, 5));
    await peer.sees(PING, ACK);
    expect(performance.now() - start).toBeGreaterThanOrEqual(28);
  });
});

describe('questions', () => {
  test('ping() resolves with the round trip and keeps it as rttMs', async () => {
    let now = 100;
    const { peer, session } = room({ now: () => now });
    const asked = session.ping();
    const { length } = await peer.sees(PING, SYN);
    now = 142;
    peer.send(raw(PING, ACK, 0, length));
    expect(await asked).toBe(42);
    expect(session.rttMs).toBe(42);
  });

  test('concurrent pings have values of their own and may be answered in any order', async () => {
    const { peer, session } = room();
    const asked = [session.ping(), session.ping()];
    await peer.sees(PING, SYN, 0, 2);
    const values = peer.sent(PING, SYN).map(({ length }) => length);
    expect(new Set(values).size).toBe(2);
    for (const value of values.reverse()) peer.send(raw(PING, ACK, 0, value));
    await Promise.all(asked);
  });

  test('keeps alive: one ping per interval while they are answered', async () => {
    fakeClock();
    const { peer, session } = room({ pingIntervalMs: 1000, pingTimeoutMs: 2500 });
    for (let count = 1; count <= 5; count += 1) {
      jest.advanceTimersByTime(1000);
      const { length } = await peer.sees(PING, SYN, 0, count);
      peer.send(raw(PING, ACK, 0, length));
      await turn();
    }
    expect(peer.sent(PING, SYN)).toHaveLength(5);
    expect(session.closed).toBe(false);
  });

  test('ends with KEEPALIVE_TIMEOUT, at once, when a ping is not answered in time', async () => {
    fakeClock();
    const { peer, session, transport, closed } = room({ pingIntervalMs: 1000, pingTimeoutMs: 2500 });
    jest.advanceTimersByTime(1000);
    await peer.sees(PING, SYN);
    jest.advanceTimersByTime(2499);
    await turn();
    expect(session.closed).toBe(false);
    expect(peer.sent(PING, SYN)).toHaveLength(1);
    jest.advanceTimersByTime(1);
    await expect(closed).resolves.toMatchObject({ code: 'KEEPALIVE_TIMEOUT' });
    expect(transport.destroyed).toBe(true);
  });

  test('rejects ping() with SESSION_CLOSED when the session ends first', async () => {
    const { peer, session } = room();
    const asked = session.ping();
    peer.end();
    await expect(asked).rejects.toMatchObject({ code: 'SESSION_CLOSED' });
  });

  test('leaves no timer behind', async () => {
    fakeClock();
    const { peer, session } = room({ pingIntervalMs: 1000, pongDelayMs: 5000 });
    const asked = session.ping().catch(() => undefined);
    peer.send(raw(PING, SYN, 0, 1));
    const stream = session.open().on('error', () => undefined);
    stream.end();
    await peer.sees(PING, SYN);
    await until(() => stream.writableFinished);
    expect(jest.getTimerCount()).toBe(4);
    session.destroy();
    await asked;
    expect(jest.getTimerCount()).toBe(0);
  });

  test('leaves no timer behind on a transport that has stalled', async () => {
    fakeClock();
    const { peer, session, transport } = room({}, { highWaterMark: 1024 });
    peer.pause();
    session
      .open()
      .on('error', () => undefined)
      .write(Buffer.alloc(50_000));
    await until(() => transport.writableNeedDrain);
    expect(jest.getTimerCount()).toBe(1);
    session.destroy();
    expect(jest.getTimerCount()).toBe(0);
  });
});
