import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { floors, medianSlope, percentile } from '../../../bench/soak/slope.ts';

const line = (slope: number, count = 50) =>
  Array.from({ length: count }, (_, x) => ({ x, y: 100 + slope * x }));

describe('a slope', () => {
  test('of a line is its own', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1_000, max: 1_000 }), (slope) => {
        expect(medianSlope(line(slope))).toBeCloseTo(slope, 6);
      }),
      { seed: 1 },
    );
  });

  test('is not tilted by a burst, of which there is one in ten points', () => {
    const points = line(2).map(({ x, y }) => ({ x, y: x % 10 === 9 ? y + 5_000 : y }));
    expect(medianSlope(points)).toBeCloseTo(2, 1);
  });

  test('of fewer than two points is none', () => {
    expect(medianSlope([])).toBeNaN();
    expect(medianSlope([{ x: 1, y: 1 }])).toBeNaN();
  });
});

test('floors are the lowest points of a saw', () => {
  const saw = Array.from({ length: 25 }, (_, x) => ({ x, y: x + 100 * (x % 10) }));
  expect(floors(saw, 10)).toEqual([
    { x: 0, y: 0 },
    { x: 10, y: 10 },
    { x: 20, y: 20 },
  ]);
  expect(medianSlope(floors(saw, 10))).toBe(1);
});

test('a percentile is one of the values', () => {
  expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
  expect(percentile([5, 1, 4, 2, 3], 0.99)).toBe(5);
  expect(percentile([7], 0)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
});
