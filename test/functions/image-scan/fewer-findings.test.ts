import { describe, expect, test } from '@jest/globals';
import { fitting } from '../../../functions/image-scan/fewer-findings.ts';

const many = (count: number, bytes: number) =>
  Array.from({ length: count }, () => ({ purl: 'p'.repeat(bytes) }));
const judged = (count: number, bytes: number) => ({
  digest: 'd',
  reasons: [{ rule: 'cvss-fail', total: 900, findings: many(count, bytes) }],
  suppressed: { total: 20, excepted: 0, findings: many(count, bytes) },
});
const lengths = ({ reasons, suppressed }: ReturnType<typeof judged>) => [
  reasons[0]?.findings.length,
  suppressed.findings.length,
];

describe('an answer', () => {
  test('of a size that Lambda takes stays as it is', () => {
    const answers = [
      judged(50, 1_000),
      { items: [judged(3, 1_000)], skipped: [] },
      { author: 'a', statements: {} },
    ];
    for (const answer of answers) expect(fitting(answer)).toBe(answer);
  });

  test('that would be too large shows fewer findings of each reason, and the same totals', () => {
    const [three, one] = [fitting(judged(50, 100_000)), fitting(judged(50, 1_500_000))];
    expect([lengths(three), lengths(one)]).toEqual([
      [3, 3],
      [1, 1],
    ]);
    expect([three.reasons[0]?.total, three.suppressed.total]).toEqual([900, 20]);
    const { items, skipped } = fitting({
      items: Array.from({ length: 50 }, () => judged(3, 50_000)),
      skipped: [1],
    });
    expect(items.map(lengths)).toEqual(items.map(() => [0, 0]));
    expect(skipped).toEqual([1]);
  });
});
