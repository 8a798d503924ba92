import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Inbox } from '../../../tunnel-fargate/yamux/inbox.ts';

function drain(inbox: Inbox): Buffer {
  const chunks: Buffer[] = [];
  for (let chunk = inbox.shift(); chunk !== undefined; chunk = inbox.shift()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('inbox', () => {
  test('gives the bytes back in order, whatever the sizes and however adding and taking alternate', () => {
    const piece = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 900, max: 40_000 }));
    fc.assert(
      fc.property(fc.array(fc.tuple(piece, fc.boolean()), { maxLength: 200 }), (steps) => {
        const inbox = new Inbox();
        const sent: Buffer[] = [];
        const got: Buffer[] = [];
        steps.forEach(([size, take], index) => {
          const bytes = Buffer.alloc(size, index + 1);
          sent.push(bytes);
          inbox.add(bytes);
          if (take) got.push(inbox.shift() ?? Buffer.alloc(0));
          expect(inbox.bytes).toBe(Buffer.concat(sent).length - Buffer.concat(got).length);
        });
        got.push(drain(inbox));
        expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
      }),
      { seed: 3, numRuns: 60 },
    );
  });

  test('does not keep a 64 KiB read alive for the one byte of it that is held', () => {
    const inbox = new Inbox();
    const memory = new Set<ArrayBufferLike>();
    for (let index = 0; index < 5_000; index += 1) inbox.add(Buffer.alloc(65_536).subarray(7, 8));
    for (let chunk = inbox.shift(); chunk !== undefined; chunk = inbox.shift()) memory.add(chunk.buffer);
    expect([...memory].reduce((sum, buffer) => sum + buffer.byteLength, 0)).toBeLessThan(2 * 16_384);
  });

  test('does not keep a 64 KiB read alive for the 2 KiB of it that are held', () => {
    const inbox = new Inbox();
    inbox.add(Buffer.alloc(65_536).subarray(0, 2048));
    expect(inbox.shift()?.buffer.byteLength).toBe(16_384);
  });

  test('gathers one-byte reads instead of holding an object for each', () => {
    const inbox = new Inbox();
    for (let index = 0; index < 5_000; index += 1) inbox.add(Buffer.alloc(1));
    expect(inbox.shift()).toHaveLength(5_000);
  });

  test('keeps a large read as it is', () => {
    const inbox = new Inbox();
    const bytes = Buffer.alloc(16_384, 1);
    inbox.add(bytes.subarray(12));
    expect(inbox.shift()?.buffer).toBe(bytes.buffer);
  });
});
