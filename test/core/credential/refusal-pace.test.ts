import { beforeEach, describe, expect, test } from '@jest/globals';
import { RefusalPace } from '../../../core/credential/refusal-pace.ts';

describe('refused credentials are answered', () => {
  let now: number;
  let waits: number[];
  let pace: RefusalPace;
  beforeEach(() => {
    now = 1_000_000;
    waits = [];
    pace = new RefusalPace({
      now: () => now,
      wait: (ms) => {
        waits.push(ms);
        return Promise.resolve();
      },
    });
  });
  const refuse = async (address: string, count: number): Promise<number[]> => {
    waits = [];
    for (let left = count; left > 0; left--) await pace.refused(address);
    return waits;
  };

  test('later and later to one address, to half a second', async () => {
    expect(await refuse('192.0.2.1', 7)).toEqual([50, 100, 200, 400, 500, 500, 500]);
  });

  test('to every address by its own count', async () => {
    await refuse('192.0.2.1', 5);
    expect(await refuse('192.0.2.2', 2)).toEqual([50, 100]);
    expect(await refuse('192.0.2.1', 1)).toEqual([500]);
  });

  test('sooner again as time goes by, and after three quiet minutes as the first one', async () => {
    await refuse('192.0.2.1', 3);
    now += 15_000;
    expect(await refuse('192.0.2.1', 1)).toEqual([200]);
    await refuse('192.0.2.1', 100);
    now += 60_000;
    expect(await refuse('192.0.2.1', 1)).toEqual([500]);
    now += 180_000;
    expect(await refuse('192.0.2.1', 1)).toEqual([50]);
  });

  test('as to one source to all addresses of an IPv6 network of 64 bits, however written', async () => {
    const same = ['2001:db8::1', '2001:0DB8:0:0:ffff::', '2001:db8:0:0:1:2:3:4', '2001:db8::1:2:192.0.2.1'];
    const seen = [];
    for (const address of same) seen.push(...(await refuse(address, 1)));
    expect(seen).toEqual([50, 100, 200, 400]);
    for (const other of ['2001:db8:0:1::1', '2001:db8:1::', '::1', 'fe80::1%eth0'])
      expect([other, ...(await refuse(other, 1))]).toEqual([other, 50]);
  });

  test('with what is no address as with any other text', async () => {
    expect(await refuse('', 2)).toEqual([50, 100]);
    expect(await refuse('test-invoke-source-ip', 2)).toEqual([50, 100]);
  });

  test('at once while a thousand wait already, and later again when one of them has its answer', async () => {
    const held = Array.from({ length: 1_000 }, () => Promise.withResolvers<undefined>());
    const queue = [...held];
    const bounded = new RefusalPace({
      now: () => now,
      wait: (ms) => {
        waits.push(ms);
        return queue.shift()?.promise ?? Promise.resolve();
      },
    });
    const waiting = held.map((_each, count) => bounded.refused(`192.0.2.${count & 7}`));
    await bounded.refused('192.0.2.1');
    expect(waits).toHaveLength(1_000);
    held[0]?.resolve(undefined);
    await waiting[0];
    await bounded.refused('192.0.2.1');
    expect(waits).toHaveLength(1_001);
    for (const { resolve } of held) resolve(undefined);
    await Promise.all(waiting);
  });

  test('and a hundred thousand addresses are not all remembered', async () => {
    await refuse('192.0.2.1', 5);
    for (let count = 0; count < 100_000; count++)
      await pace.refused(`10.${count >> 16}.${(count >> 8) & 255}.${count & 255}`);
    expect(await refuse('192.0.2.1', 1)).toEqual([50]);
    expect(await refuse('10.1.134.159', 1)).toEqual([100]);
  });
});
