import { describe, expect, test } from '@jest/globals';
import { HandshakePace } from '../../../tunnel-fargate/agent/handshake-pace.ts';

const pace = (changed: object = {}) =>
  new HandshakePace({
    maxInFlight: 4,
    maxPerAddress: 2,
    startsPerInterval: 100,
    intervalMs: 1,
    ...changed,
  });

describe('the pace of handshakes', () => {
  test('refuses an address what is beyond its own bound, and others nothing', () => {
    const one = pace();
    const started: string[] = [];
    const enter = (address: string) => one.enter(address, () => started.push(address));
    expect(['a', 'a', 'a', 'b'].map(enter)).toEqual([true, true, false, true]);
    expect(started).toEqual(['a', 'a', 'b']);
    expect(one.inFlight).toBe(3);
  });

  test('lets an address in again as its handshakes end', () => {
    const one = pace();
    const enter = (address: string) => one.enter(address, () => undefined);
    expect([enter('a'), enter('a'), enter('a')]).toEqual([true, true, false]);
    one.leave('a');
    expect([enter('a'), enter('a')]).toEqual([true, false]);
    one.leave('a');
    one.leave('a');
    expect([enter('a'), enter('a'), enter('a')]).toEqual([true, true, false]);
  });

  test('holds all addresses together to the bound of all', () => {
    const one = pace();
    const enter = (address: string) => one.enter(address, () => undefined);
    expect(['a', 'a', 'b', 'b', 'c'].map(enter)).toEqual([true, true, true, true, false]);
    one.leave('b');
    expect(enter('c')).toBe(true);
  });

  test('counts those that wait for their turn, and starts each when it comes, in order', async () => {
    const one = pace({ startsPerInterval: 1 });
    const started: number[] = [];
    const last = new Promise<void>((resolve) => {
      expect(one.enter('a', () => started.push(1))).toBe(true);
      expect(one.enter('a', () => started.push(2))).toBe(true);
      expect(one.enter('a', () => started.push(3))).toBe(false);
      expect(one.enter('b', resolve)).toBe(true);
    });
    expect(started).toEqual([1]);
    await last;
    expect(started).toEqual([1, 2]);
  });
});
