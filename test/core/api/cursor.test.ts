import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeCursor, encodeCursor } from '../../../core/api/cursor.ts';
import { Problem } from '../../../core/problem/problem.ts';

const refused = (work: () => unknown): boolean => {
  try {
    work();
    return false;
  } catch (error) {
    return error instanceof Problem && error.code === 'INVALID_CURSOR';
  }
};

describe('a cursor', () => {
  test('gives back its sort key, whatever that is', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (key) => {
        fc.pre(key.isWellFormed());
        expect(decodeCursor('t-a', 'CLUSTERS', encodeCursor('t-a', 'CLUSTERS', key))).toBe(key);
      }),
      { seed: 1 },
    );
  });

  test('is not needed for the first page', () => {
    expect(decodeCursor('t-a', 'CLUSTERS', undefined)).toBeUndefined();
  });

  test('with a key longer than any sort key can be is refused with INVALID_CURSOR', () => {
    const cursor = (length: number) => encodeCursor('t-a', 'CLUSTERS', 'x'.repeat(length));
    expect(decodeCursor('t-a', 'CLUSTERS', cursor(1_024))).toHaveLength(1_024);
    expect(refused(() => decodeCursor('t-a', 'CLUSTERS', cursor(1_025)))).toBe(true);
  });

  test('of another tenant or list, changed or made up is refused with INVALID_CURSOR', () => {
    const cursor = encodeCursor('t-a', 'CLUSTERS', 'c-x');
    expect(refused(() => decodeCursor('t-b', 'CLUSTERS', cursor))).toBe(true);
    expect(refused(() => decodeCursor('t-a', 'IMAGES', cursor))).toBe(true);
    for (const text of [
      '',
      'x',
      'AAAAAAAAAAAAAAAA',
      Buffer.from('c-y').toString('base64url'),
      `${cursor}AAAA`,
      '💥',
    ]) {
      expect(refused(() => decodeCursor('t-a', 'CLUSTERS', text))).toBe(true);
    }
    for (let at = 0; at < cursor.length; at += 1) {
      const changed = `${cursor.slice(0, at)}${cursor[at] === 'A' ? 'B' : 'A'}${cursor.slice(at + 1)}`;
      const same = Buffer.from(changed, 'base64url').equals(Buffer.from(cursor, 'base64url'));
      expect([at, refused(() => decodeCursor('t-a', 'CLUSTERS', changed))]).toEqual([at, !same]);
    }
  });
});
