import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TokenBucket } from '../../../tunnel-fargate/limits/token-bucket.ts';

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: -200, max: 3_000 }) }),
    fc.record({ kind: fc.constant('take' as const) }),
    fc.record({ kind: fc.constant('charge' as const), tokens: fc.integer({ min: 0, max: 50 }) }),
  ),
  { minLength: 1, maxLength: 200 },
);

describe('a token bucket', () => {
  test('lets the burst through at once, then the rate', () => {
    let now = 0;
    const bucket = new TokenBucket({ perSecond: 10, burst: 3, now: () => now });
    const takes = () => [1, 2, 3, 4].map(() => bucket.take());
    expect(takes()).toEqual([true, true, true, false]);
    expect(bucket.waitMs).toBe(100);
    now = 99;
    expect(bucket.take()).toBe(false);
    now = 100;
    expect(bucket.take()).toBe(true);
    now = 60_000;
    expect(takes()).toEqual([true, true, true, false]);
  });

  test('forgets debts beyond its bound', () => {
    let now = 0;
    const bucket = new TokenBucket({ perSecond: 10, burst: 10, maxDebt: 20, now: () => now });
    bucket.charge(1_000_000);
    expect(bucket.waitMs).toBe(2_100);
    now = 2_100;
    expect(bucket.take()).toBe(true);
  });

  test('never lets more through than burst and rate allow, whatever the clock does (seeded)', () => {
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 30 }),
        (all, rate, burst) => {
          let now = 1_000_000;
          let forward = 0;
          let taken = 0;
          const bucket = new TokenBucket({ perSecond: rate, burst, now: () => now });
          for (const step of all) {
            if (step.kind === 'wait') {
              now += step.ms;
              forward += Math.max(0, step.ms);
              expect(bucket.waitMs).toBeGreaterThanOrEqual(0);
            } else if (step.kind === 'charge') {
              bucket.charge(step.tokens);
            } else if (bucket.take()) {
              taken += 1;
            }
            expect(taken).toBeLessThanOrEqual(burst + (forward * rate) / 1000 + 1e-6);
          }
        },
      ),
      { seed: 11, numRuns: 300 },
    );
  });

  test('tells a wait after which a token is there, and not one ms less by more than rounding (seeded)', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), (all, rate) => {
        let now = 0;
        const bucket = new TokenBucket({ perSecond: rate, burst: 5, maxDebt: 100, now: () => now });
        for (const step of all) {
          if (step.kind === 'wait') now += Math.max(0, step.ms);
          else if (step.kind === 'charge') bucket.charge(step.tokens);
          else bucket.take();
        }
        const { waitMs } = bucket;
        if (waitMs > 1) {
          now += waitMs - 1;
          expect(bucket.take()).toBe(false);
          now += 1;
        } else {
          now += waitMs;
        }
        // A thousandth of a token may be lost in the sums.
        now += 1;
        expect(bucket.take()).toBe(true);
      }),
      { seed: 12, numRuns: 300 },
    );
  });
});
