import { describe, expect, test } from '@jest/globals';
import { imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { readyRules } from '../../../core/image/image-rules.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { RecentJudgements } from '../../../functions/admission/recent-judgements.ts';
import { day, digestOf, now, scanned, scored } from './scanned.ts';

const rulesOf = (policy: object = {}) =>
  readyRules({ revision: 1, policy: imagePolicy.parse(policy), exceptions: [], statements: [] });
const digest = digestOf('a');
const tenantId = newTenantId();

/** An image that counts how often it is judged. */
function counted(given: Omit<Parameters<typeof scanned>[0], 'digest' | 'onJudged'> = {}) {
  const count = { judged: 0 };
  const image = scanned({ digest, ...given, onJudged: () => (count.judged += 1) });
  return { image, count };
}

describe('A judgement is remembered', () => {
  test('for the same image, revision and rules: the image is judged once', () => {
    const { image, count } = counted({ findings: [scored('CVE-2026-1', 9.8)] });
    const judgements = new RecentJudgements();
    const rules = rulesOf();

    const first = judgements.of(tenantId, image, { rules, at: now });
    expect(first).toMatchObject({
      digest,
      verdict: 'fail',
      scannedAt: now - day,
      reasons: [{ rule: 'cvss-fail' }],
    });
    expect(judgements.of(tenantId, { ...image }, { rules, at: now + 59_999 })).toBe(first);
    expect(count.judged).toBe(1);
  });

  test('not for another revision, other rules of the same revision, or another tenant’s image of the same digest', () => {
    const { image, count } = counted();
    const judgements = new RecentJudgements();
    const rules = rulesOf();
    const ask = (who: string, of: typeof image, by: typeof rules) =>
      judgements.of(who, of, { rules: by, at: now });

    ask(tenantId, image, rules);
    ask(newTenantId(), image, rules);
    ask(tenantId, { ...image, revision: 2 }, rules);
    expect(count.judged).toBe(3);
    ask(tenantId, image, rulesOf());
    expect(count.judged).toBe(4);
  });

  test('no longer than the verdict holds, to the millisecond', () => {
    const { image } = counted({ scannedAt: now - 30 * day + 1_000 });
    const judgements = new RecentJudgements();
    const rules = rulesOf({ maxScanAgeDays: 30 });
    const at = (moment: number) => judgements.of(tenantId, image, { rules, at: moment }).verdict;

    expect([at(now), at(now + 999), at(now + 1_000), at(now + 1_001)]).toEqual([
      'pass',
      'pass',
      'fail',
      'fail',
    ]);
    // A test of policies may ask about an earlier time than the last review.
    expect(at(now)).toBe('pass');
  });

  test('at most a minute, as its reasons may change before the verdict does', () => {
    const { image, count } = counted();
    const judgements = new RecentJudgements();
    const rules = rulesOf();

    judgements.of(tenantId, image, { rules, at: now });
    judgements.of(tenantId, image, { rules, at: now + 60_000 });
    expect(count.judged).toBe(2);
  });

  test('of a thousand images at most', () => {
    const judgements = new RecentJudgements();
    const rules = rulesOf();
    const { image, count } = counted();
    judgements.of(tenantId, image, { rules, at: now });
    for (let index = 0; index < 1_000; index += 1) {
      const other = digestOf(index.toString(16).padStart(4, '0'));
      judgements.of(tenantId, scanned({ digest: other }), { rules, at: now });
    }

    judgements.of(tenantId, image, { rules, at: now });
    expect(count.judged).toBe(2);
  });
});
