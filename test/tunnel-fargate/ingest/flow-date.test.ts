import { describe, expect, test } from '@jest/globals';
import { flowDate } from '../../../tunnel-fargate/ingest/flow-date.ts';

const now = Date.parse('2026-11-23T00:10:00Z');

describe('the date of a batch of flows', () => {
  test('is the day on which its first flow began, also when it arrives on the next', () => {
    const start = Date.parse('2026-11-22T23:55:00Z') / 1000;
    expect(flowDate(start, now)).toBe('2026-11-22');
  });

  test.each([
    [undefined, 'no flow'],
    [1, 'a time long ago'],
    [99_999_999_999, 'a time far ahead'],
    [Number.MAX_SAFE_INTEGER, 'a time that is no date'],
  ])('is the day of receipt for %j, %s', (start, _why) => {
    expect(flowDate(start, now)).toBe('2026-11-23');
  });
});
