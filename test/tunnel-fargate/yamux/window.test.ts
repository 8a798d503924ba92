import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  INITIAL_WINDOW,
  MAX_WINDOW,
  ReceiveWindow,
  SendWindow,
} from '../../../tunnel-fargate/yamux/window.ts';

describe('send window', () => {
  test('starts with 262144 bytes, shrinks by what is sent and grows by updates', () => {
    const window = new SendWindow();
    expect(window.available).toBe(262_144);
    window.take(262_144);
    expect(window.available).toBe(0);
    window.add(5);
    expect(window.available).toBe(5);
  });

  test('takes credit up to 2^32-1 and refuses one byte more with WINDOW_OVERFLOW', () => {
    const window = new SendWindow();
    window.add(MAX_WINDOW - INITIAL_WINDOW);
    expect(window.available).toBe(2 ** 32 - 1);
    expect(() => window.add(1)).toThrow(expect.objectContaining({ code: 'WINDOW_OVERFLOW', goAway: 1 }));
  });

  test('never lets our own side send more than the peer allowed', () => {
    expect(() => new SendWindow().take(INITIAL_WINDOW + 1)).toThrow(RangeError);
  });
});

describe('receive window', () => {
  test.each([0, INITIAL_WINDOW - 1, MAX_WINDOW + 1, INITIAL_WINDOW + 0.5, Number.NaN])(
    'refuses a capacity of %d bytes',
    (capacity) => {
      expect(() => new ReceiveWindow(capacity)).toThrow(RangeError);
    },
  );

  test('allows a length that just fits and refuses one byte more with RECV_WINDOW_EXCEEDED', () => {
    const window = new ReceiveWindow(INITIAL_WINDOW);
    window.check(INITIAL_WINDOW);
    expect(() => window.check(INITIAL_WINDOW + 1)).toThrow(
      expect.objectContaining({ code: 'RECV_WINDOW_EXCEEDED', goAway: 1 }),
    );
  });

  test('gives nothing back for bytes that are not read', () => {
    const window = new ReceiveWindow(INITIAL_WINDOW);
    window.receive(INITIAL_WINDOW);
    expect(window.isDue(INITIAL_WINDOW)).toBe(false);
    expect(window.topUp(INITIAL_WINDOW)).toBe(0);
  });

  test('is due at exactly half a window of read bytes, and gives back all of them', () => {
    const window = new ReceiveWindow(INITIAL_WINDOW);
    window.receive(INITIAL_WINDOW / 2 + 10);
    expect(window.isDue(11)).toBe(false);
    expect(window.isDue(10)).toBe(true);
    expect(window.topUp(10)).toBe(INITIAL_WINDOW / 2);
    expect(window.allowance).toBe(INITIAL_WINDOW - 10);
  });

  test('stays at the initial size until opened, then tops up to its capacity', () => {
    const window = new ReceiveWindow(1_048_576);
    expect(window.isDue(0)).toBe(false);
    expect(() => window.check(INITIAL_WINDOW + 1)).toThrow();
    window.open();
    expect(window.topUp(0)).toBe(1_048_576 - INITIAL_WINDOW);
    window.check(1_048_576);
  });

  test('keeps allowance plus unread within the capacity, and never starves a reader that reads all', () => {
    const step = fc.record({ arrive: fc.nat(200_000), read: fc.nat(200_000) });
    fc.assert(
      fc.property(fc.integer({ min: INITIAL_WINDOW, max: 2 ** 22 }), fc.array(step), (capacity, steps) => {
        const window = new ReceiveWindow(capacity);
        window.open();
        window.topUp(0);
        let unread = 0;
        for (const { arrive, read } of steps) {
          const bytes = Math.min(arrive, window.allowance);
          window.receive(bytes);
          unread += bytes;
          unread -= Math.min(read, unread);
          if (window.isDue(unread)) window.topUp(unread);
          expect(window.allowance + unread).toBeLessThanOrEqual(capacity);
          expect(window.allowance).toBeGreaterThanOrEqual(0);
          if (unread === 0) expect(window.allowance).toBeGreaterThan(capacity / 2);
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});
