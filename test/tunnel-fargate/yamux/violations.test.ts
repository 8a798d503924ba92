import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import type { YamuxStream } from '../../../tunnel-fargate/yamux/stream.ts';
import { BoundedBudget } from '../../../tunnel-fargate/yamux/window-budget.ts';
import { ACK, DATA, FIN, GOAWAY, PING, raw, rig, RST, SYN, UPDATE, until } from './raw-peer.ts';

const WINDOW = 262_144;

/** A sentence, the raw bytes, the code. The session is the server. */
const VIOLATIONS: [string, string, Buffer[]][] = [
  ['a version other than 0', 'BAD_VERSION', [Buffer.from('010000000000000100000000', 'hex')]],
  ['a type above 3', 'BAD_TYPE', [Buffer.from('000400000000000100000000', 'hex')]],
  ['data on the id of the session', 'BAD_STREAM_ID', [Buffer.from('000000000000000000000000', 'hex')]],
  [
    'a window update on the id of the session',
    'BAD_STREAM_ID',
    [Buffer.from('000100010000000000000000', 'hex')],
  ],
  ['SYN on the id of the session', 'BAD_STREAM_ID', [Buffer.from('000100010000000000000005', 'hex')]],
  ['SYN with an id of our parity', 'BAD_STREAM_ID', [Buffer.from('000100010000000200000000', 'hex')]],
  [
    'SYN in a data frame with an id of our parity',
    'BAD_STREAM_ID',
    [Buffer.from('000000010000000400000000', 'hex')],
  ],
  [
    'SYN on a live id',
    'DUPLICATE_STREAM',
    [raw(UPDATE, SYN, 1, 0), Buffer.from('000100010000000100000000', 'hex')],
  ],
  [
    'SYN in a data frame on a live id',
    'DUPLICATE_STREAM',
    [raw(UPDATE, SYN, 1, 0), Buffer.from('000000010000000100000000', 'hex')],
  ],
  ['more data than the window', 'RECV_WINDOW_EXCEEDED', [raw(DATA, SYN, 1, WINDOW + 1)]],
  [
    'one byte more after a full window',
    'RECV_WINDOW_EXCEEDED',
    [raw(DATA, SYN, 1, WINDOW, Buffer.alloc(WINDOW)), Buffer.from('000000000000000100000001', 'hex')],
  ],
  [
    'the longest length a header can declare',
    'RECV_WINDOW_EXCEEDED',
    [raw(UPDATE, SYN, 1, 0), raw(DATA, 0, 1, 2 ** 32 - 1)],
  ],
  ['credit beyond 2^32-1', 'WINDOW_OVERFLOW', [raw(UPDATE, SYN, 1, 2 ** 32 - WINDOW)]],
  [
    'credit beyond 2^32-1 with the FIN of a stream',
    'WINDOW_OVERFLOW',
    [raw(UPDATE, SYN, 1, 0), Buffer.from('0001000400000001ffffffff', 'hex')],
  ],
  [
    'a byte beyond the window after FIN',
    'RECV_WINDOW_EXCEEDED',
    [raw(UPDATE, SYN | FIN, 1, 0), Buffer.from('000000000000000100040001', 'hex')],
  ],
  [
    'a second FIN',
    'UNEXPECTED_FIN',
    [raw(UPDATE, SYN | FIN, 1, 0), Buffer.from('000100040000000100000000', 'hex')],
  ],
  [
    'a second FIN in a data frame',
    'UNEXPECTED_FIN',
    [raw(DATA, SYN | FIN, 1, 1, Buffer.from('x')), raw(DATA, FIN, 1, 0)],
  ],
];

describe('violations', () => {
  test.each(VIOLATIONS)(
    'answers %s with GoAway 1 and ends the session with %s',
    async (_what, code, bytes) => {
      const { peer, session, closed } = rig();
      const errors: unknown[] = [];
      session.on('stream', (stream) =>
        stream.on('error', (error: Error & { code?: string }) => errors.push(error.code)),
      );
      peer.send(...bytes);
      await expect(closed).resolves.toMatchObject({ code, goAway: 1 });
      expect((await peer.sees(GOAWAY)).length).toBe(1);
      await until(() => peer.ended);
      expect(peer.sent(GOAWAY)).toHaveLength(1);
      expect(session.closed).toBe(true);
      expect(session.streamCount).toBe(0);
      expect(errors.every((one) => one === 'SESSION_CLOSED')).toBe(true);
    },
  );

  test('writes GoAway 1 as 0003 0000 00000000 00000001, and nothing after it', async () => {
    const { peer, closed } = rig();
    peer.send(Buffer.from('ff'.repeat(12), 'hex'));
    await closed;
    await until(() => peer.ended);
    expect(peer.frames.map(({ type, flags, id, length }) => [type, flags, id, length])).toEqual([
      [3, 0, 0, 1],
    ]);
  });

  test.each([
    ['beyond maxStreams', { maxStreams: 1 }],
    ['beyond the backlog', { acceptBacklog: 1 }],
    ['beyond the memory for windows', { windowBudget: new BoundedBudget({ limit: WINDOW }) }],
  ])('answers SYN %s with RST as 0001 0008 id 00000000, once, and lives', async (_what, options) => {
    const { peer, session } = rig(options);
    peer.send(raw(UPDATE, SYN, 1, 0), Buffer.from('000100010000000300000000', 'hex'));
    await peer.settled();
    expect(
      peer.frames.filter(({ id }) => id === 3).map(({ type, flags, length }) => [type, flags, length]),
    ).toEqual([[UPDATE, RST, 0]]);
    expect(peer.sent(GOAWAY)).toEqual([]);
    expect(session.streamCount).toBe(1);
  });

  test('judges a declared length by its header alone, before any byte of it has come', async () => {
    const { peer, closed } = rig();
    peer.send(raw(DATA, SYN, 1, WINDOW + 1));
    expect((await closed)?.code).toBe('RECV_WINDOW_EXCEEDED');
  });

  test('obeys the window it granted: a frame of exactly the larger window is taken, one byte more is not', async () => {
    const { peer, session, closed } = rig({ acceptedWindow: 1_048_576 });
    session.on('stream', (stream) => stream.on('error', () => undefined));
    peer.send(raw(UPDATE, SYN, 1, 0));
    expect((await peer.sees(UPDATE, ACK, 1)).length).toBe(1_048_576 - WINDOW);
    peer.send(raw(DATA, 0, 1, 1_048_576, Buffer.alloc(1_048_576)));
    await peer.settled();
    expect(session.closed).toBe(false);
    peer.send(raw(DATA, 0, 1, 1));
    expect((await closed)?.code).toBe('RECV_WINDOW_EXCEEDED');
  });

  test('holds the peer to the smallest window on a stream that it opened, whatever ours have', async () => {
    const { peer, session, closed } = rig({ initialWindow: 1_048_576 });
    session.on('stream', (stream) => stream.on('error', () => undefined));
    peer.send(raw(DATA, SYN, 1, WINDOW, Buffer.alloc(WINDOW)));
    await peer.settled();
    expect(session.closed).toBe(false);
    peer.send(raw(DATA, 0, 1, 1));
    expect((await closed)?.code).toBe('RECV_WINDOW_EXCEEDED');
  });

  test('does not yet allow the larger window before the ACK that grants it', async () => {
    const { peer, closed } = rig({ acceptedWindow: 1_048_576 });
    peer.send(raw(DATA, SYN, 1, WINDOW + 1));
    expect((await closed)?.code).toBe('RECV_WINDOW_EXCEEDED');
  });

  test('ends with PING_FLOOD when more than 64 held-back pings wait for their answers', async () => {
    const { peer, session, closed } = rig({ pongDelayMs: 60_000 });
    for (let opaque = 0; opaque < 64; opaque += 1) peer.send(raw(PING, SYN, 0, opaque));
    await new Promise((resolve) => setImmediate(resolve));
    expect(session.closed).toBe(false);
    peer.send(raw(PING, SYN, 0, 64));
    expect((await closed)?.code).toBe('PING_FLOOD');
    expect((await peer.sees(GOAWAY)).length).toBe(1);
  });

  test('handles nothing that follows the violation in the same chunk', async () => {
    const { peer, session, closed } = rig();
    const streams: YamuxStream[] = [];
    session.on('stream', (stream) => streams.push(stream));
    peer.send(Buffer.from('000900000000000000000000', 'hex'), raw(UPDATE, SYN, 1, 0));
    await closed;
    expect(streams).toEqual([]);
  });
});

describe('what is no violation', () => {
  test.each([
    ['data for a stream that never was', [raw(DATA, 0, 9, 5, Buffer.from('stray'))]],
    ['a window update for a stream that never was', [raw(UPDATE, 0, 9, 5)]],
    ['FIN and RST for a stream that never was', [raw(UPDATE, FIN, 9, 0), raw(UPDATE, RST, 9, 0)]],
    ['an answer to a ping that was never sent', [raw(PING, ACK, 0, 77)]],
    ['a ping that bears the id of a stream', [Buffer.from('000200020000000100000007', 'hex')]],
    ['an ACK of a stream that never was', [raw(UPDATE, ACK, 2, 0)]],
    ['flags that nobody knows', [raw(UPDATE, 0xfff0, 9, 0)]],
    ['SYN and RST at once', [raw(UPDATE, SYN | RST, 1, 0)]],
  ])('lives on after %s', async (_what, bytes) => {
    const { peer, session } = rig();
    session.on('stream', () => undefined);
    peer.send(...bytes);
    await peer.settled();
    expect(session.closed).toBe(false);
    expect(session.streamCount).toBe(0);
  });

  test('drops data in place that was on its way to a stream we have reset, and reads the next frame after it', async () => {
    const { peer, session } = rig();
    peer.send(raw(UPDATE, SYN, 1, 0));
    const [stream] = (await once(session, 'stream')) as [YamuxStream];
    stream.reset();
    await peer.sees(UPDATE, RST, 1);
    peer.send(raw(DATA, 0, 1, 100_000, Buffer.alloc(100_000)), raw(UPDATE, FIN, 1, 0));
    await peer.settled();
    expect(session.closed).toBe(false);
    expect(peer.sent(UPDATE, RST)).toHaveLength(1);
  });

  test('drops the rest of a frame whose stream is reset in the middle of it', async () => {
    const { peer, session } = rig();
    session.once('stream', (stream) => stream.once('data', () => stream.reset()));
    peer.send(raw(DATA, SYN, 1, 10, Buffer.from('12345')));
    await peer.sees(UPDATE, RST, 1);
    peer.send(Buffer.from('67890'));
    await peer.settled();
    expect(session.closed).toBe(false);
  });

  test("drops data that overtook the peer's own FIN, as hashicorp's Write and Close may order them", async () => {
    const { peer, session } = rig();
    const chunks: Buffer[] = [];
    const errors: Error[] = [];
    session.on('stream', (stream) => {
      stream.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', (error) => errors.push(error));
    });
    peer.send(
      raw(DATA, SYN, 1, 2, Buffer.from('ok')),
      raw(UPDATE, FIN, 1, 0),
      raw(DATA, 0, 1, 4, Buffer.from('late')),
    );
    await peer.settled();
    peer.send(raw(DATA, 0, 1, 5, Buffer.from('later')));
    await peer.settled();
    peer.send(raw(UPDATE, SYN | FIN, 3, 0));
    await peer.settled();
    peer.send(raw(DATA, 0, 3, 4, Buffer.from('late')));
    await peer.settled();
    expect(session.closed).toBe(false);
    expect(errors).toEqual([]);
    expect(Buffer.concat(chunks).toString()).toBe('ok');
  });

  test('gives stray data to no other stream', async () => {
    const { peer, session } = rig();
    const chunks: Buffer[] = [];
    session.on('stream', (stream) => stream.on('data', (chunk: Buffer) => chunks.push(chunk)));
    peer.send(raw(DATA, SYN, 1, 4, Buffer.from('mine')), raw(DATA, FIN, 9, 5, Buffer.from('stray')));
    peer.send(raw(DATA, 0, 1, 5, Buffer.from(' only')));
    await peer.settled();
    expect(Buffer.concat(chunks).toString()).toBe('mine only');
  });

  test('handles nothing that follows in the same chunk once a listener has destroyed the session', async () => {
    const { peer, session, closed } = rig();
    const ids: number[] = [];
    session.on('stream', (stream) => {
      ids.push(stream.on('error', () => undefined).id);
      session.destroy();
    });
    peer.send(raw(UPDATE, SYN, 1, 0), raw(UPDATE, SYN, 3, 0), raw(DATA, 0, 1, 2 ** 31));
    expect(await closed).toBeUndefined();
    expect(ids).toEqual([1]);
  });

  test('takes window updates after FIN, and delivers FIN only after the payload of its own frame', async () => {
    const { peer, session } = rig();
    const seen: string[] = [];
    session.on('stream', (stream) => {
      stream.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
      stream.on('end', () => seen.push('end'));
    });
    const last = raw(DATA, SYN | FIN, 1, 6, Buffer.from('abcdef'));
    peer.send(last.subarray(0, 15));
    peer.send(last.subarray(15), raw(UPDATE, 0, 1, 10));
    await until(() => seen.includes('end'));
    expect(seen).toEqual(['abc', 'def', 'end']);
    expect(session.closed).toBe(false);
  });
});
