import { describe, expect, test } from '@jest/globals';
import { readFlow } from '../../../tunnel-fargate/ingest/flow-line.ts';
import { flowLine } from './flows.ts';

const read = (text: string) => readFlow(Buffer.from(text));
const identity = (text: string) => {
  const flow = read(text);
  return typeof flow === 'string' ? flow : flow.identity;
};

describe('a line', () => {
  test('is a flow when it has a key and its times, whatever else it has', () => {
    expect(read(flowLine('shop-*', 1_763_892_000, ',"later":{"calico":[1]}'))).toMatchObject({
      start: 1_763_891_700,
      end: 1_763_892_000,
    });
    expect(read('{"Key":{},"start_time":1,"end_time":1}')).toMatchObject({ start: 1, end: 1 });
  });

  test.each([
    ['{}', 'too-short'],
    ['{"Key":{},"start_time":1,"end_time":1', 'too-short'],
    ['{"Key":{},"start_time":1,"end_time":1000', 'not-json'],
    ['this is a line of text, and as long as a flow', 'not-json'],
    ['\ufeff{"Key":{},"start_time":1,"end_time":1}', 'not-json'],
    ['[{"Key":{},"start_time":1,"end_time":1}]', 'not-an-object'],
    ['"{Key:{},start_time:1,end_time:1}........."', 'not-an-object'],
    [`null${' '.repeat(40)}`, 'not-an-object'],
    ['{"key":{},"start_time":1,"end_time":1000}', 'no-key'],
    ['{"Key":[],"start_time":1,"end_time":1000}', 'no-key'],
    ['{"Key":null,"start_time":1,"end_time":1000}', 'no-key'],
    [`{"Key":{"a":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}},"start_time":1,"end_time":1}`, 'no-key'],
    ['{"Key":{},"end_time":1,"and":"a few more bytes"}', 'no-times'],
    ['{"Key":{},"start_time":1,"and":"a few more bytes"}', 'no-times'],
    ['{"Key":{},"start_time":"1","end_time":"2"}', 'no-times'],
    ['{"Key":{},"start_time":1.5,"end_time":2.5}', 'no-times'],
    ['{"Key":{},"start_time":-1,"end_time":1000}', 'no-times'],
    ['{"Key":{},"start_time":1,"end_time":1e300}', 'no-times'],
  ])('like %.60j is rejected as %s', (line, reason) => {
    expect(read(line)).toBe(reason);
  });

  test('with bytes that are no UTF-8 is rejected as not-utf8', () => {
    const line = Buffer.from(flowLine('x'));
    line[line.indexOf('x')] = 0xff;
    expect(readFlow(line)).toBe('not-utf8');
  });

  test('is the same flow when key, start and end are the same, and only then', () => {
    const one = identity(flowLine('a', 1_000));
    expect(one).toHaveLength(12);
    expect(identity(flowLine('a', 1_000, ',"bytes_in":5'))).toBe(one);
    expect(identity(flowLine('b', 1_000))).not.toBe(one);
    expect(identity(flowLine('a', 1_001))).not.toBe(one);
    expect(identity('{"Key":{"source_name":"a"},"start_time":1,"end_time":11}')).not.toBe(
      identity('{"Key":{"source_name":"a"},"start_time":11,"end_time":1}'),
    );
  });
});
