import { describe, expect, test } from '@jest/globals';
import { ShortLivedCache } from '../../../tunnel-fargate/access/short-lived-cache.ts';

const cacheOf = (maxSize = 10) => {
  const clock = { now: 0, loads: 0 };
  const cache = new ShortLivedCache<number>({ ttlMs: 100, maxSize, now: () => clock.now });
  const load = (value = 1) => {
    clock.loads += 1;
    return Promise.resolve(value);
  };
  return { clock, cache, load };
};

describe('the short-lived cache', () => {
  test('asks once for concurrent callers and for those within the time', async () => {
    const { cache, clock, load } = cacheOf();
    await Promise.all([cache.get('a', load), cache.get('a', load)]);
    clock.now = 99;
    await cache.get('a', load);
    expect(clock.loads).toBe(1);
    clock.now = 100;
    await cache.get('a', load);
    expect(clock.loads).toBe(2);
  });

  test('counts the time from the question, not from the answer', async () => {
    const { cache, clock, load } = cacheOf();
    let answer: (value: number) => void = () => undefined;
    const first = cache.get('a', () => new Promise((resolve) => (answer = resolve)));
    clock.now = 90;
    answer(1);
    await first;
    clock.now = 100;
    expect(await cache.get('a', () => load(2))).toBe(2);
  });

  test('forgets failures and what is not to be kept', async () => {
    const { cache, clock, load } = cacheOf();
    await expect(cache.get('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await cache.get(
      'a',
      () => load(7),
      (value) => value !== 7,
    );
    expect(await cache.get('a', () => load(8))).toBe(8);
    expect(clock.loads).toBe(2);
  });

  test('is bounded', async () => {
    const { cache, clock, load } = cacheOf(10);
    for (let at = 0; at < 100; at += 1) await cache.get(String(at), load);
    clock.loads = 0;
    for (let at = 0; at < 100; at += 1) await cache.get(String(at), load);
    expect(clock.loads).toBeGreaterThanOrEqual(80);
  });
});
