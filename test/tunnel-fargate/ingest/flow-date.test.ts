import { describe, expect, test } from '@jest/globals';
import { flowDate } from '../../../tunnel-fargate/ingest/flow-date.ts';

const now = Date.parse('2026-11-23T00:10:00Z');

describe('the date of a batch of flows', () => {
  test('is the day on which its first flow began, also when it arrives on the next', () => {
    const start = Date.parse('2026-11-22T23:55:00Z') / 1000;
    expect(flowDate(JSON.stringify({ Key: {}, start_time: start }), now)).toBe('2026-11-22');
  });

  test.each([
    ['', 'an empty line'],
    ['not JSON', 'what is not JSON'],
    ['null', 'no object'],
    ['{"Key":{}}', 'a flow without a time'],
    ['{"start_time":"yesterday"}', 'a time that is no number'],
    ['{"start_time":1}', 'a time long ago'],
    ['{"start_time":99999999999}', 'a time far ahead'],
    ['{"start_time":1e300}', 'a time that is no date'],
  ])('is the day of receipt for %j, %s', (line) => {
    expect(flowDate(line, now)).toBe('2026-11-23');
  });
});
