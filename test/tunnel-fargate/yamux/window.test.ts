import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  grownCapacity,
  INITIAL_WINDOW,
  MAX_WINDOW,
  ReceiveWindow,
  SendWindow,
  shrunkCapacity,
  windowCapacity,
} from '../../../tunnel-fargate/yamux/window.ts';
import { BoundedBudget } from '../../../tunnel-fargate/yamux/window-budget.ts';

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

const MIB = 1_048_576;

type Room = { window: ReceiveWindow; budget: BoundedBudget; clock: { now: number; rtt: number | undefined } };

/** A receive window with a clock of its own. */
function room(
  sizes: { start?: number; max?: number; limit?: number } = {},
  budget = new BoundedBudget({ limit: sizes.limit ?? 64 * MIB }),
): Room {
  const { start = INITIAL_WINDOW, max = INITIAL_WINDOW } = sizes;
  const clock: Room['clock'] = { now: 1_000, rtt: 10 };
  const window = ReceiveWindow.within({ start, max, budget, now: () => clock.now, rttMs: () => clock.rtt });
  if (window === undefined) throw new Error('the budget is used up');
  return { window, budget, clock };
}

/** Half of the window arrives and is read, so that an update is due. */
function halfRead(window: ReceiveWindow): number {
  const bytes = Math.max(0, window.allowance - Math.floor(window.capacity / 2));
  window.receive(bytes);
  expect(window.isDue(0)).toBe(true);
  return window.renew(0);
}

describe('receive window', () => {
  test.each([0, INITIAL_WINDOW - 1, MAX_WINDOW + 1, INITIAL_WINDOW + 0.5, Number.NaN])(
    'refuses a capacity of %d bytes',
    (capacity) => {
      expect(() => windowCapacity(capacity)).toThrow(RangeError);
    },
  );

  test('allows a length that just fits and refuses one byte more with RECV_WINDOW_EXCEEDED', () => {
    const { window } = room();
    window.check(INITIAL_WINDOW);
    expect(() => window.check(INITIAL_WINDOW + 1)).toThrow(
      expect.objectContaining({ code: 'RECV_WINDOW_EXCEEDED', goAway: 1 }),
    );
  });

  test('gives nothing back for bytes that are not read', () => {
    const { window } = room();
    window.receive(INITIAL_WINDOW);
    expect(window.isDue(INITIAL_WINDOW)).toBe(false);
    expect(window.topUp(INITIAL_WINDOW)).toBe(0);
  });

  test('is due at exactly half a window of read bytes, and gives back all of them', () => {
    const { window } = room();
    window.receive(INITIAL_WINDOW / 2 + 10);
    expect(window.isDue(11)).toBe(false);
    expect(window.isDue(10)).toBe(true);
    expect(window.renew(10)).toBe(INITIAL_WINDOW / 2);
    expect(window.allowance).toBe(INITIAL_WINDOW - 10);
  });

  test('stays at the initial size until opened, then tops up to its starting size', () => {
    const { window, budget } = room({ start: MIB, max: MIB });
    expect(window.isDue(0)).toBe(false);
    expect(() => window.check(INITIAL_WINDOW + 1)).toThrow();
    expect(budget.inUse).toBe(INITIAL_WINDOW);
    window.open();
    expect(window.topUp(0)).toBe(MIB - INITIAL_WINDOW);
    window.check(MIB);
    expect(budget.inUse).toBe(MIB);
  });

  test('opens at the initial size when the budget has no more', () => {
    const { window, budget } = room({ start: MIB, max: MIB, limit: MIB });
    window.open();
    expect(window.topUp(0)).toBe(0);
    expect(budget.inUse).toBe(INITIAL_WINDOW);
  });

  test('keeps allowance plus unread within what is paid for, and never starves a reader that reads all', () => {
    const step = fc.record({
      arrive: fc.nat(400_000),
      read: fc.nat(400_000),
      wait: fc.nat(80),
      others: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: INITIAL_WINDOW, max: 2 ** 22 }),
        fc.integer({ min: INITIAL_WINDOW, max: 2 ** 24 }),
        fc.array(step, { maxLength: 80 }),
        (start, max, steps) => {
          const { window, budget, clock } = room({ start, max, limit: 8 * MIB });
          window.open();
          window.topUp(0);
          let unread = 0;
          let others = 0;
          for (const { arrive, read, wait, others: more } of steps) {
            if (more && budget.take(MIB)) others += MIB;
            else if (others > 0) {
              budget.give(MIB);
              others -= MIB;
            }
            clock.now += wait;
            const bytes = Math.min(arrive, window.allowance);
            window.check(bytes);
            window.receive(bytes);
            unread += bytes;
            unread -= Math.min(read, unread);
            if (window.isDue(unread)) expect(window.renew(unread)).toBeGreaterThanOrEqual(0);
            expect(window.allowance + unread).toBeLessThanOrEqual(budget.inUse - others);
            expect(window.allowance).toBeGreaterThanOrEqual(0);
            expect(window.capacity).toBeGreaterThanOrEqual(INITIAL_WINDOW);
            expect(window.capacity).toBeLessThanOrEqual(Math.max(start, max));
            if (unread === 0) expect(window.allowance).toBeGreaterThan(0);
          }
          window.end(unread);
          expect(budget.inUse - others).toBeLessThanOrEqual(Math.max(unread, 0));
          window.release();
          window.release();
          expect(budget.inUse).toBe(others);
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe('growth', () => {
  test.each([
    ['doubles when two updates lie less than 4 round trips apart', 39.9, 10, 2 * MIB],
    ['stays when they lie 4 round trips apart', 40, 10, MIB],
    ['stays at the first update', undefined, 10, MIB],
    ['stays while no round trip is known', 1, undefined, MIB],
  ])('a window %s', (_what, since, rtt, expected) => {
    expect(grownCapacity(MIB, 16 * MIB, since, rtt)).toBe(expected);
  });

  test('a window grows to its bound and no further, and is never cut down by a bound below it', () => {
    expect(grownCapacity(12 * MIB, 16 * MIB, 1, 10)).toBe(16 * MIB);
    expect(grownCapacity(16 * MIB, 16 * MIB, 1, 10)).toBe(16 * MIB);
    expect(grownCapacity(2 * MIB, MIB, 1, 10)).toBe(2 * MIB);
  });

  test('shrinking halves, down to what the protocol promises', () => {
    expect(shrunkCapacity(16 * MIB)).toBe(8 * MIB);
    expect(shrunkCapacity(INITIAL_WINDOW + 1)).toBe(INITIAL_WINDOW);
    expect(shrunkCapacity(INITIAL_WINDOW)).toBe(INITIAL_WINDOW);
  });

  test('a busy stream reaches 16 MiB in 7 updates and pays for every byte of it', () => {
    const { window, budget, clock } = room({ max: 16 * MIB });
    const sizes = Array.from({ length: 8 }, () => {
      clock.now += 20;
      halfRead(window);
      return window.capacity / INITIAL_WINDOW;
    });
    expect(sizes).toEqual([1, 2, 4, 8, 16, 32, 64, 64]);
    expect(window.allowance).toBe(16 * MIB);
    expect(budget.inUse).toBe(16 * MIB);
  });

  test('a slow stream stays as it is', () => {
    const { window, clock } = room({ max: 16 * MIB });
    for (let update = 0; update < 20; update += 1) {
      clock.now += 40;
      expect(halfRead(window)).toBe(INITIAL_WINDOW / 2);
    }
    expect(window.capacity).toBe(INITIAL_WINDOW);
  });

  test('a window that the budget refuses to widen gives back what was read, and goes on', () => {
    const { window, budget, clock } = room({ max: 16 * MIB, limit: MIB });
    for (let update = 0; update < 10; update += 1) {
      clock.now += 1;
      expect(halfRead(window)).toBeGreaterThan(0);
    }
    expect(window.capacity).toBe(MIB / 2);
    expect(budget.inUse).toBe(MIB / 2);
  });

  test('when new streams need the memory a grown window withholds credit until it fits half its size, and takes none back', () => {
    const { window, budget, clock } = room({ max: 4 * MIB, limit: 8 * MIB });
    for (let update = 0; update < 6; update += 1) {
      clock.now += 1;
      halfRead(window);
    }
    expect(window.capacity).toBe(4 * MIB);
    expect(budget.take(4 * MIB)).toBe(true);
    const before = window.allowance;
    window.receive(2 * MIB);
    expect(window.isDue(0)).toBe(true);
    expect(window.renew(0)).toBe(0);
    expect(window.capacity).toBe(2 * MIB);
    expect(window.allowance).toBe(before - 2 * MIB);
    expect(budget.inUse).toBe(6 * MIB);
    // No update is due before the smaller window is half used.
    window.receive(MIB - 1);
    expect(window.isDue(0)).toBe(false);
    window.receive(1);
    expect(window.isDue(0)).toBe(true);
  });

  test('what is unread when a window shrinks stays paid for until it is read', () => {
    const { window, budget, clock } = room({ max: 4 * MIB, limit: 8 * MIB });
    for (let update = 0; update < 6; update += 1) {
      clock.now += 1;
      halfRead(window);
    }
    budget.take(4 * MIB);
    window.receive(4 * MIB);
    // 2 MiB are read, 2 wait: the smaller window is full.
    expect(window.renew(2 * MIB)).toBe(0);
    expect(budget.inUse).toBe(6 * MIB);
    expect(window.isDue(MIB + 1)).toBe(false);
    expect(window.renew(MIB)).toBe(0);
    expect(window.capacity).toBe(MIB);
    expect(budget.inUse).toBe(5 * MIB);
  });

  test("after the peer's FIN only what is unread is paid for, and after release() nothing", () => {
    const { window, budget } = room({ start: MIB, max: MIB });
    window.open();
    window.receive(1000);
    window.end(700);
    expect(budget.inUse).toBe(700);
    window.release();
    expect(budget.inUse).toBe(0);
    window.release();
    expect(budget.inUse).toBe(0);
  });

  test('a stream for which the budget has no window gets none', () => {
    const budget = new BoundedBudget({ limit: INITIAL_WINDOW * 2 - 1 });
    const { window } = room({}, budget);
    expect(() => room({}, budget)).toThrow('used up');
    window.release();
    expect(room({}, budget).window.allowance).toBe(INITIAL_WINDOW);
  });
});
