import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FrameParser } from '../../../tunnel-fargate/yamux/frame.ts';
import { turns } from './fuzz/random.ts';
import { ACK, DATA, FIN, GOAWAY, PING, raw, rig, RST, SYN, UPDATE, until } from './raw-peer.ts';

const WINDOW = 262_144;

/** What a parser says of bytes cut at these places: frames, and their payloads put together. */
function parsed(bytes: Buffer, cuts: readonly number[]): string[] {
  const events: string[] = [];
  let payload = '';
  const parser = new FrameParser({
    onHeader: (...fields) => void events.push(fields.join(' ')),
    onPayload: (piece, left) => {
      payload += piece.toString('hex');
      if (left > 0) return;
      events.push(payload);
      payload = '';
    },
  });
  let from = 0;
  try {
    for (const to of [...cuts, bytes.length]) {
      parser.push(bytes.subarray(from, to));
      from = to;
    }
  } catch (error) {
    events.push((error as { code: string }).code);
  }
  if (parser.midFrame) events.push(`in a frame, after ${payload}`);
  return events;
}

/** What a session makes of bytes cut at these places: streams, what they carried, how they and the session ended. */
async function handled(bytes: Buffer, cuts: readonly number[]): Promise<Record<string, unknown>> {
  const { peer, session, closed } = rig();
  const streams: Partial<Record<string, string[]>> = {};
  const data: Partial<Record<string, Buffer[]>> = {};
  session.on('stream', (stream) => {
    const seen = (streams[stream.id] ??= []);
    const chunks = (data[stream.id] ??= []);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => seen.push('end'));
    stream.on('error', (error: Error & { code?: string }) => seen.push(error.code ?? ''));
  });
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    peer.send(bytes.subarray(from, to));
    from = to;
    await turns(1);
  }
  await turns(5);
  peer.end();
  const reason = await closed;
  await until(() => peer.ended);
  const answers = peer.frames.filter(({ type, flags }) => type === GOAWAY || type === PING || flags === RST);
  return {
    streams,
    // A reset takes with it what was not read yet, and how much that is depends on the cuts.
    data: Object.entries(data)
      .filter(([id]) => streams[id]?.[0] === 'end')
      .map(([id, chunks]) => [id, Buffer.concat(chunks ?? []).toString()]),
    answers: answers.map(({ type, flags, id, length }) => [type, flags, id, length]),
    reason: reason?.code,
  };
}

/** Two streams, one frame in another's middle of life, a ping, an unknown id, half-close, a reset, a refused id. */
const conversation = Buffer.concat([
  raw(UPDATE, SYN, 1, 0),
  raw(DATA, 0, 1, 5, Buffer.from('hello')),
  raw(DATA, SYN, 3, 3, Buffer.from('abc')),
  raw(PING, SYN, 0, 0x01020304),
  raw(DATA, 0, 9, 4, Buffer.from([0, 1, 0, 8])),
  raw(UPDATE, 0, 3, 77),
  raw(DATA, FIN, 1, 2, Buffer.from('!!')),
  raw(DATA, 0, 1, 4, Buffer.from('late')),
  raw(UPDATE, RST, 3, 0),
  raw(UPDATE, SYN | FIN, 5, 0),
]);

const violationAtEnd = Buffer.concat([raw(UPDATE, SYN, 1, 0), raw(DATA, 0, 1, WINDOW + 1)]);

const cutsOf = (bytes: Buffer) =>
  fc
    .uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 60 })
    .map((cuts) => cuts.sort((left, right) => left - right));

describe('splits', () => {
  test('a frame of 14 bytes gives the same events in each of its 8,192 splits', () => {
    const bytes = raw(DATA, SYN, 7, 2, Buffer.from('hi'));
    const whole = parsed(bytes, []);
    expect(whole).toEqual(['0 1 7 2', '6869']);
    for (let mask = 0; mask < 2 ** 13; mask += 1) {
      const cuts = Array.from({ length: 13 }, (_unused, bit) => bit + 1).filter(
        (cut) => (mask >> (cut - 1)) & 1,
      );
      if (parsed(bytes, cuts).join() !== whole.join()) throw new Error(`cut at ${cuts.join()}`);
    }
  });

  test('a conversation of ten frames gives the parser the same events at every pair of cuts', () => {
    const whole = parsed(conversation, []).join();
    for (let first = 1; first < conversation.length; first += 1) {
      for (let second = first; second < conversation.length; second += 1) {
        if (parsed(conversation, [first, second]).join() !== whole) throw new Error(`${first}, ${second}`);
      }
    }
    expect(whole).toContain('1 8 3 0');
  });

  test('a broken header is found at the same byte in every split, and what came before it stays', () => {
    const bytes = Buffer.concat([
      raw(DATA, 0, 1, 1, Buffer.from('x')),
      Buffer.from('000900000000000000000000', 'hex'),
    ]);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      expect(parsed(bytes, [cut])).toEqual(['0 0 1 1', '78', 'BAD_TYPE']);
    }
  });

  test.each([
    ['a conversation', conversation, 'TRANSPORT_CLOSED'],
    ['one that ends with a violation', violationAtEnd, 'RECV_WINDOW_EXCEEDED'],
    ['one that ends inside a frame', conversation.subarray(0, -5), 'TRUNCATED_FRAME'],
  ])('a session handles %s in the same way at every cut, and byte by byte', async (_what, bytes, code) => {
    const whole = await handled(bytes, []);
    expect(whole.reason).toBe(code);
    for (let cut = 1; cut < bytes.length; cut += 1) expect(await handled(bytes, [cut])).toEqual(whole);
    const each = Array.from({ length: bytes.length - 1 }, (_unused, index) => index + 1);
    expect(await handled(bytes, each)).toEqual(whole);
  });

  test('a session handles a conversation in the same way however it is cut into many pieces', async () => {
    const whole = await handled(conversation, []);
    expect(whole).toMatchObject({
      streams: { 1: ['end', 'SESSION_CLOSED'], 3: ['STREAM_RESET'], 5: ['end', 'SESSION_CLOSED'] },
      data: [
        ['1', 'hello!!'],
        ['5', ''],
      ],
      answers: [[PING, ACK, 0, 0x01020304]],
    });
    await fc.assert(
      fc.asyncProperty(cutsOf(conversation), async (cuts) => {
        expect(await handled(conversation, cuts)).toEqual(whole);
      }),
      { seed: 17, numRuns: 100 },
    );
  });
});
