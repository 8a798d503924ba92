import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeHeader, FrameParser } from '../../../tunnel-fargate/yamux/frame.ts';
import type { FrameType } from '../../../tunnel-fargate/yamux/frame.ts';
import { raw } from './raw-peer.ts';

const SEED = { seed: 20_261_123, numRuns: 300 };

type Seen = { type: number; flags: number; id: number; length: number; payload: Buffer };

function collect() {
  const seen: Seen[] = [];
  const lefts: number[] = [];
  const parser = new FrameParser({
    onHeader: (type, flags, id, length) =>
      void seen.push({ type, flags, id, length, payload: Buffer.alloc(0) }),
    onPayload: (bytes, left) => {
      const last = seen.at(-1);
      if (last !== undefined) last.payload = Buffer.concat([last.payload, bytes]);
      lefts.push(left);
    },
  });
  return { parser, seen, lefts };
}

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const flags = fc.integer({ min: 0, max: 0xffff });
const frame = fc.oneof(
  fc
    .record({ flags, id: word, payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) })
    .map((data) => ({ type: 0, ...data, length: data.payload.length })),
  fc.record({
    type: fc.constantFrom(1, 2, 3),
    flags,
    id: word,
    length: word,
    payload: fc.constant(Buffer.alloc(0)),
  }),
);

describe('frame', () => {
  test('encodes a header as version, type, flags, stream id and length, big-endian', () => {
    expect(encodeHeader(1, 0x0102, 0x03040506, 0xfffefdfc)).toEqual(
      Buffer.from([0, 1, 1, 2, 3, 4, 5, 6, 0xff, 0xfe, 0xfd, 0xfc]),
    );
  });

  test('reads back every header it writes', () => {
    fc.assert(
      fc.property(fc.constantFrom<FrameType[]>(1, 2, 3), flags, word, word, (type, bits, id, length) => {
        const { parser, seen } = collect();
        parser.push(encodeHeader(type, bits, id, length));
        expect(seen).toEqual([{ type, flags: bits, id, length, payload: Buffer.alloc(0) }]);
      }),
      SEED,
    );
  });

  test('yields the same frames however their bytes are split', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
        (frames, cuts) => {
          const bytes = Buffer.concat(
            frames.map((one) => raw(one.type, one.flags, one.id, one.length, one.payload)),
          );
          const { parser, seen } = collect();
          for (let at = 0; at < bytes.length;) {
            const size = (cuts.next().value as number | undefined) ?? 1;
            parser.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(seen).toEqual(frames);
          expect(parser.midFrame).toBe(false);
        },
      ),
      SEED,
    );
  });

  test('splits two frames at every single position with the same result', () => {
    const bytes = Buffer.concat([raw(0, 1, 7, 5, Buffer.from('hello')), raw(2, 2, 0, 9)]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { parser, seen } = collect();
      parser.push(bytes.subarray(0, cut));
      expect(parser.midFrame).toBe(![0, 17, bytes.length].includes(cut));
      parser.push(bytes.subarray(cut));
      expect(seen.map((one) => [one.type, one.id, one.payload.toString()])).toEqual([
        [0, 7, 'hello'],
        [2, 0, ''],
      ]);
    }
  });

  test('passes payload on as views into the input and counts what is left of the frame', () => {
    const pieces: Buffer[] = [];
    const lefts: number[] = [];
    const parser = new FrameParser({
      onHeader: () => undefined,
      onPayload: (bytes, left) => {
        pieces.push(bytes);
        lefts.push(left);
      },
    });
    const chunk = raw(0, 0, 1, 10, Buffer.from('abcd'));
    parser.push(chunk);
    parser.push(Buffer.from('efghij'));
    expect(pieces[0]?.buffer).toBe(chunk.buffer);
    expect(lefts).toEqual([6, 0]);
  });

  test.each([
    ['BAD_VERSION', Buffer.from([1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])],
    ['BAD_TYPE', Buffer.from([0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])],
  ])('refuses a header with %s and ignores all that follows', (code, bytes) => {
    const { parser, seen } = collect();
    expect(() => parser.push(bytes)).toThrow(expect.objectContaining({ code, goAway: 1 }));
    parser.push(raw(2, 1, 0, 1));
    expect(seen).toEqual([]);
  });

  test('stops between two frames of one chunk when its handler says so', () => {
    const ids: number[] = [];
    const parser: FrameParser = new FrameParser({
      onHeader: (_type, _flags, id) => {
        ids.push(id);
        parser.stop();
      },
      onPayload: () => undefined,
    });
    parser.push(Buffer.concat([raw(1, 0, 1, 0), raw(1, 0, 2, 0)]));
    expect(ids).toEqual([1]);
  });
});
