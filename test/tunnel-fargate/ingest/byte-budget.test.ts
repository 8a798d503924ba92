import { describe, expect, test } from '@jest/globals';
import { ByteBudget } from '../../../tunnel-fargate/ingest/byte-budget.ts';

describe('the memory for uploads', () => {
  test('is refused to a cluster beyond its share and to all beyond the total, and comes back once', () => {
    const budget = new ByteBudget({ totalBytes: 100, clusterBytes: 60 });
    const one = budget.reserve('one');
    const another = budget.reserve('one');
    const other = budget.reserve('other');
    expect(one.take(40)).toBe(true);
    expect(another.take(21)).toBe(false);
    expect(another.take(20)).toBe(true);
    expect(other.take(41)).toBe(false);
    expect(other.take(40)).toBe(true);
    expect(budget.inUse).toBe(100);
    one.release();
    one.release();
    expect(budget.inUse).toBe(60);
    expect(another.take(40)).toBe(true);
    another.release();
    other.release();
    expect(budget.inUse).toBe(0);
  });
});
