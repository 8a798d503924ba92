import { describe, expect, test } from '@jest/globals';
import { median, pairedRatio, significant } from '../../../bench/tunnel/statistics.ts';

describe('median', () => {
  test('is the middle one whatever the order, and leaves the values as they are', () => {
    const values = [5, 1, 100, 3, 2];
    expect(median(values)).toBe(3);
    expect(values).toEqual([5, 1, 100, 3, 2]);
  });

  test('of an even number is the mean of the two in the middle', () => {
    expect(median([4, 1, 3, 100])).toBe(3.5);
  });

  test('compares numbers, not their text', () => {
    expect(median([9, 10, 100])).toBe(10);
  });

  test('of nothing is not a number', () => {
    expect(median([])).toBeNaN();
  });
});

describe('the ratio of rounds', () => {
  test('is the median of the ratios: a round in which all were slow counts like any other', () => {
    expect(pairedRatio([1, 50, 3], [2, 100, 2])).toBe(0.5);
  });

  test('is undefined when a round has nothing to compare with', () => {
    expect(pairedRatio([1, 2], [1])).toBeUndefined();
    expect(pairedRatio([1, 2], [1, 0])).toBeUndefined();
    expect(pairedRatio([], [])).toBeUndefined();
  });
});

test('figures keep three digits that mean something', () => {
  expect([0.012345, 1.2345, 123456].map((value) => significant(value))).toEqual([0.0123, 1.23, 123000]);
});
