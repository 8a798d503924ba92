import { describe, expect, test } from '@jest/globals';
import { RejectedLines } from '../../../tunnel-fargate/ingest/rejected-lines.ts';

const line = (text: string, size = text.length) => ({
  bytes: Buffer.from(text),
  size,
  whole: size === text.length,
});

describe('rejected lines', () => {
  test('are counted by reason and kept with their place, their size and their bytes', () => {
    const rejected = new RejectedLines();
    rejected.add(line('\0 no JSON'), 3, 'not-json');
    rejected.add(line('long', 400_000), 7, 'too-long');
    rejected.add(line('[]'), 9, 'not-json');
    const [head, first, second] = rejected
      .document('abc')
      .split('\n')
      .map((text) => JSON.parse(text) as unknown);
    expect(head).toEqual({ upload: 'abc', rejected: 3, kept: 3, reasons: { 'not-json': 2, 'too-long': 1 } });
    expect(first).toEqual({
      line: 3,
      reason: 'not-json',
      bytes: 9,
      base64: Buffer.from('\0 no JSON').toString('base64'),
    });
    expect(second).toMatchObject({ line: 7, reason: 'too-long', bytes: 400_000 });
  });

  test('are all counted, but not more than half a megabyte of them is kept', () => {
    const rejected = new RejectedLines();
    for (let number = 1; number <= 2_000; number += 1) {
      rejected.add(line('x'.repeat(5_000)), number, 'not-json');
    }
    expect(rejected.total).toBe(2_000);
    expect(rejected.heldBytes).toBeLessThan(530_000);
    const document = rejected.document('abc');
    expect(document.length).toBeLessThan(530_000);
    expect(JSON.parse(document.slice(0, document.indexOf('\n')))).toMatchObject({
      rejected: 2_000,
      kept: 189,
    });
  });
});
