import { describe, expect, test } from '@jest/globals';
import { EventBus, matches } from '../../../local/function/event-bus.ts';
import type { InvocationResult } from '../../../local/function/function-process.ts';
import type { EventRule } from '../../../local/template/event-rules.ts';

const pattern = {
  source: ['aws.s3'],
  detail: { bucket: { name: ['scans', 'others'] }, object: { key: [{ prefix: 'uploads/' }] } },
};
const event = (key: string, bucket = 'scans', source = 'aws.s3') => ({
  source,
  detail: { bucket: { name: bucket }, object: { key, size: 3 } },
});
const failure: InvocationResult = { error: { errorType: 'Error', errorMessage: 'no', trace: [] } };

/** A bus whose function answers as told, in turns; the last answer stays. */
function bus(answers: readonly InvocationResult[], rules: readonly EventRule[]) {
  const invoked: string[] = [];
  const failed: number[] = [];
  let turn = 0;
  let settled: () => void = () => undefined;
  const under = new EventBus({
    rules,
    invoke: (functionName) => {
      invoked.push(functionName);
      const answer = answers[Math.min(turn, answers.length - 1)] ?? failure;
      turn += 1;
      if (!('error' in answer)) settled();
      return Promise.resolve(answer);
    },
    failed: (_name, _error, retries) => {
      failed.push(retries);
      if (retries === 0) settled();
    },
    retryAfterMs: [0, 0],
  });
  const ended = new Promise<void>((resolve) => (settled = resolve));
  return { under, invoked, failed, ended };
}
const rule: EventRule = { pattern, functionName: 'image-scan', retries: 2 };

describe('a pattern', () => {
  test.each([
    [true, event('uploads/tenant/x')],
    [true, event('uploads/', 'others')],
    [false, event('scans/uploads/x')],
    [false, event('uploads/x', 'logs')],
    [false, event('uploads/x', 'scans', 'aws.ec2')],
    [false, { source: 'aws.s3' }],
    [false, { source: 'aws.s3', detail: { bucket: 'scans', object: null } }],
    [false, { source: 'aws.s3', detail: { bucket: { name: 'scans' }, object: { key: 7 } } }],
    [false, 'aws.s3'],
  ])('gives %j for %j', (expected, told) => {
    expect(matches(pattern, told)).toBe(expected);
  });
});

describe('an event', () => {
  test('goes to the function of each rule that it matches, and whoever tells of it does not wait', async () => {
    const other = { ...rule, pattern: { source: ['aws.ec2'] }, functionName: 'other' };
    const { under, invoked, failed, ended } = bus([{ value: null }], [rule, other]);
    under.tell(event('uploads/x'));
    await ended;
    expect([invoked, failed]).toEqual([['image-scan'], []]);
  });

  test('comes again, twice, when its function fails', async () => {
    const { under, invoked, failed, ended } = bus([failure], [rule]);
    under.tell(event('uploads/x'));
    await ended;
    expect([invoked.length, failed]).toEqual([3, [2, 1, 0]]);
  });

  test('does not come again once it was taken', async () => {
    const { under, invoked, failed, ended } = bus([failure, { value: null }], [rule]);
    under.tell(event('uploads/x'));
    await ended;
    expect([invoked.length, failed]).toEqual([2, [2]]);
  });

  test('is forgotten when the stack stops', async () => {
    const { under, invoked } = bus([failure], [rule]);
    under.tell(event('uploads/x'));
    under.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(invoked).toEqual(['image-scan']);
  });
});
