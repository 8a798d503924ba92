import { describe, expect, test } from '@jest/globals';
import { type JudgedFinding, verdictRules } from '../../../core/image/image-schema.ts';
import { findingJudge, judgeImage, type Judgement } from '../../../core/image/judge.ts';
import {
  at,
  day,
  digestOf,
  exceptionOf,
  findingOf,
  imageOf,
  now,
  resultOf,
  rulesOf,
  scoredAt,
  statementOf,
} from './judged-images.ts';

type Policy = Readonly<Record<string, unknown>>;
const judged = (findings: readonly JudgedFinding[], policy: Policy = {}, time = now): Judgement =>
  judgeImage(imageOf({ findings }), rulesOf(policy), time);
const rulesIn = ({ reasons }: Judgement) => reasons.map(({ rule }) => rule);

describe('a threshold', () => {
  test.each<[name: string, finding: JudgedFinding, policy: Policy, verdict: string, rules: string[]]>([
    ['of 9 is met by 9', scoredAt(9), {}, 'fail', ['cvss-fail']],
    ['of 9 is not met by 8.9, which warns', scoredAt(8.9), {}, 'warn', ['cvss-warn']],
    ['of 4 is met by 4', scoredAt(4), {}, 'warn', ['cvss-warn']],
    ['of 4 is not met by 3.9', scoredAt(3.9), {}, 'pass', []],
    ['of 0 is met by 0', scoredAt(0), { warnAt: 0 }, 'warn', ['cvss-warn']],
    [
      'between tenths is taken at its word: 7.05 by 7.1',
      scoredAt(7.1),
      { failAt: 7.05 },
      'fail',
      ['cvss-fail'],
    ],
    [
      'between tenths is taken at its word: 7.05 not by 7',
      scoredAt(7),
      { failAt: 7.05 },
      'warn',
      ['cvss-warn'],
    ],
    ['that is equal for both fails', scoredAt(5), { warnAt: 5, failAt: 5 }, 'fail', ['cvss-fail']],
    ['never is met by nothing', scoredAt(10), { warnAt: 'never', failAt: 'never' }, 'pass', []],
    ['never for failing leaves the warning', scoredAt(10), { failAt: 'never' }, 'warn', ['cvss-warn']],
    [
      'high is met by high, whatever the score',
      scoredAt(1, { severity: 'high' }),
      { failAt: 'high' },
      'fail',
      ['severity-fail'],
    ],
    [
      'high is met by critical',
      scoredAt(1, { severity: 'critical' }),
      { failAt: 'high' },
      'fail',
      ['severity-fail'],
    ],
    [
      'high is not met by medium with a high score',
      scoredAt(9.8, { severity: 'medium' }),
      { failAt: 'high', warnAt: 'never' },
      'pass',
      [],
    ],
    ['low is met by low', scoredAt(0, { severity: 'low' }), { warnAt: 'low' }, 'warn', ['severity-warn']],
    ['low is not met by negligible', scoredAt(5, { severity: 'negligible' }), { warnAt: 'low' }, 'pass', []],
    ['low is not met by unknown', scoredAt(5, { severity: 'unknown' }), { warnAt: 'low' }, 'pass', []],
    [
      'of a score takes an unscored critical finding for 9',
      scoredAt(undefined, { severity: 'critical' }),
      {},
      'fail',
      ['cvss-fail'],
    ],
    [
      'of a score takes an unscored medium finding for 4',
      scoredAt(undefined, { severity: 'medium' }),
      { failAt: 4.1 },
      'warn',
      ['cvss-warn'],
    ],
    [
      'of a score takes an unscored unknown one for 0',
      scoredAt(undefined, { severity: 'unknown' }),
      {},
      'pass',
      [],
    ],
    [
      'of EPSS is met exactly',
      scoredAt(1, { epss: { score: 0.1 } }),
      { epss: { failAt: 0.1 } },
      'fail',
      ['epss-fail'],
    ],
    [
      'of EPSS is not met by less',
      scoredAt(1, { epss: { score: 0.0999 } }),
      { epss: { failAt: 0.1 } },
      'pass',
      [],
    ],
    [
      'of EPSS warns beside failing',
      scoredAt(1, { epss: { score: 0.05 } }),
      { epss: { failAt: 0.1, warnAt: 0.05 } },
      'warn',
      ['epss-warn'],
    ],
    ['of EPSS 0 is not met where EPSS is unknown', scoredAt(1), { epss: { failAt: 0 } }, 'pass', []],
    [
      'of known exploitation fails whatever the score',
      scoredAt(1, { knownExploited: true }),
      { knownExploited: 'fail' },
      'fail',
      ['known-exploited-fail'],
    ],
    [
      'of known exploitation may warn',
      scoredAt(1, { knownExploited: true }),
      { knownExploited: 'warn' },
      'warn',
      ['known-exploited-warn'],
    ],
    [
      'of known exploitation is ignored unless asked for',
      scoredAt(1, { knownExploited: true }),
      {},
      'pass',
      [],
    ],
    [
      'of known exploitation is not met where the report does not say',
      scoredAt(1),
      { knownExploited: 'fail' },
      'pass',
      [],
    ],
    [
      'is one of several that are met, all of which are told',
      scoredAt(9.5, { knownExploited: true, epss: { score: 0.9 } }),
      { knownExploited: 'fail', epss: { failAt: 0.5 } },
      'fail',
      ['cvss-fail', 'epss-fail', 'known-exploited-fail'],
    ],
    [
      'that only warns is not told beside one that fails',
      scoredAt(9.5, { knownExploited: true }),
      { knownExploited: 'warn' },
      'fail',
      ['cvss-fail'],
    ],
  ])('%s', (_, finding, policy, verdict, rules) => {
    const judgement = judged([finding], policy);
    expect([judgement.verdict, rulesIn(judgement)]).toEqual([verdict, rules]);
  });
});

describe('only what has a fix', () => {
  const unfixed = scoredAt(9.9, { fix: { state: 'wont-fix', versions: [] }, knownExploited: true });

  test('counts, if the policy says so, whatever the rule', () => {
    const policy = { onlyFixable: true, knownExploited: 'fail' };
    expect(judged([unfixed], policy).verdict).toBe('pass');
    expect(judged([unfixed, scoredAt(5)], policy)).toMatchObject({
      verdict: 'warn',
      reasons: [{ total: 1 }],
    });
    expect(judged([unfixed], { knownExploited: 'fail' }).verdict).toBe('fail');
  });

  test('is what is fixed by its state, or names a version', () => {
    const fixed = scoredAt(9.9, { fix: { state: 'fixed', versions: [] } });
    const versioned = scoredAt(9.9, { fix: { state: 'unknown', versions: ['2'] } });
    for (const finding of [fixed, versioned]) {
      expect(judged([finding], { onlyFixable: true }).verdict).toBe('fail');
    }
  });
});

describe('grace', () => {
  const graceDays = 7;
  const known = (days: number) => scoredAt(9.5, { publishedAt: at(now - days * day) });

  test('lets what would fail warn, and says so', () => {
    const judgement = judged([known(6)], { graceDays, warnAt: 'never' });
    expect(judgement).toMatchObject({
      verdict: 'warn',
      reasons: [{ rule: 'grace', threshold: 7, total: 1 }],
      worsens: [{ at: now + day, verdict: 'fail' }],
    });
    expect(rulesIn(judged([known(6)], { graceDays }))).toEqual(['cvss-warn', 'grace']);
  });

  test('ends to the millisecond so many days after it became known', () => {
    const end = now + day;
    expect(judged([known(6)], { graceDays }, end - 1).verdict).toBe('warn');
    expect(judged([known(6)], { graceDays }, end)).toMatchObject({
      verdict: 'fail',
      reasons: [{ rule: 'cvss-fail' }],
      worsens: [],
    });
  });

  test('is not for what became known at an unknown time', () => {
    expect(judged([scoredAt(9.5)], { graceDays: 365 }).verdict).toBe('fail');
  });

  test('begins with the scan at the latest: no date of a report is in the future', () => {
    const finding = scoredAt(9.5, { publishedAt: at(now + 900 * day) });
    const image = imageOf({ findings: [finding], scannedAt: now - 7 * day });
    expect(judgeImage(image, rulesOf({ graceDays }), now - 1).verdict).toBe('warn');
    expect(judgeImage(image, rulesOf({ graceDays }), now).verdict).toBe('fail');
  });

  test('changes nothing for what only warns', () => {
    const judgement = judged([scoredAt(5, { publishedAt: at(now) })], { graceDays });
    expect(judgement).toMatchObject({ verdict: 'warn', reasons: [{ rule: 'cvss-warn' }], worsens: [] });
  });

  test('is for all rules, those of exploitation too', () => {
    const finding = scoredAt(1, { publishedAt: at(now), knownExploited: true, epss: { score: 1 } });
    const policy = { graceDays, knownExploited: 'fail', epss: { failAt: 0.5 } };
    expect(judged([finding], policy)).toMatchObject({
      verdict: 'warn',
      reasons: [{ rule: 'grace', total: 1 }],
    });
  });

  test('of one finding does not help another', () => {
    const judgement = judged([known(1), known(30)], { graceDays });
    expect(judgement).toMatchObject({
      verdict: 'fail',
      reasons: [{ rule: 'cvss-fail', total: 1 }],
      worsens: [],
    });
  });
});

describe('the age of the scan', () => {
  const maxScanAgeDays = 30;
  const image = imageOf({ findings: [scoredAt(5)], scannedAt: now - 30 * day });

  test('fails an image from so many days on, to the millisecond, with the rule as the reason', () => {
    const rules = rulesOf({ maxScanAgeDays });
    expect(judgeImage(image, rules, now - 1)).toMatchObject({
      verdict: 'warn',
      worsens: [{ at: now, verdict: 'fail' }],
    });
    expect(judgeImage(image, rules, now)).toMatchObject({
      verdict: 'fail',
      reasons: [{ rule: 'scan-age', threshold: 30, findings: [], total: 0 }],
      worsens: [],
      scanners: [{ scannerName: 'trivy', verdict: 'warn' }],
    });
  });

  test('makes it what stale says, beside what its findings make of it', () => {
    expect(judgeImage(image, rulesOf({ maxScanAgeDays, stale: 'pass' }), now)).toMatchObject({
      verdict: 'warn',
      reasons: [{ rule: 'cvss-warn' }],
    });
    expect(rulesIn(judgeImage(image, rulesOf({ maxScanAgeDays, stale: 'warn' }), now))).toEqual([
      'cvss-warn',
      'scan-age',
    ]);
  });

  test('has no limit unless the policy sets one', () => {
    expect(judgeImage(image, rulesOf(), now + 4_000 * day).verdict).toBe('warn');
  });

  test('is that of the latest scan of any scanner', () => {
    const rules = rulesOf({ maxScanAgeDays });
    const old = { findings: [], scannerName: 'grype', scannedAt: now - 300 * day };
    const recent = { findings: [], scannerName: 'trivy', scannedAt: now - day };
    expect(judgeImage(imageOf(old, recent), rules, now).verdict).toBe('pass');
    const bad = imageOf({ ...old, findings: [scoredAt(9.9)] }, recent);
    expect(judgeImage(bad, rules, now)).toMatchObject({ verdict: 'fail', deciding: 'grype' });
    const worse = { ...old, findings: [scoredAt(5)] };
    expect(judgeImage(imageOf(worse, recent), rules, now)).toMatchObject({
      verdict: 'warn',
      deciding: 'grype',
      worsens: [{ at: now + 29 * day, verdict: 'fail' }],
    });
    expect(judgeImage(imageOf(worse, recent), rules, now + 29 * day)).toMatchObject({
      reasons: [{ rule: 'scan-age' }],
      deciding: 'trivy',
      scanners: [
        { scannerName: 'trivy', verdict: 'pass' },
        { scannerName: 'grype', verdict: 'warn' },
      ],
    });
    const aged = imageOf(old, { ...recent, scannedAt: now - 40 * day });
    expect(judgeImage(aged, rules, now)).toMatchObject({ verdict: 'fail', deciding: 'trivy' });
  });
});

describe('what time does', () => {
  test('is told in both its steps: first to a warning, then to a failure', () => {
    const finding = scoredAt(9.5, { publishedAt: at(now - day) });
    const exceptions = [exceptionOf({ vulnerability: 'cve-9.5', expiresAt: at(now + 5 * day) })];
    const rules = rulesOf({ graceDays: 10 }, { exceptions });
    expect(judgeImage(imageOf({ findings: [finding] }), rules, now)).toMatchObject({
      verdict: 'pass',
      worsens: [
        { at: now + 5 * day, verdict: 'warn' },
        { at: now + 9 * day, verdict: 'fail' },
      ],
    });
  });

  test('is told in one step where both come at once, and not at all where nothing is left to come', () => {
    const exceptions = [exceptionOf({ vulnerability: 'CVE-9.5', expiresAt: at(now + 5 * day) })];
    const rules = rulesOf({}, { exceptions });
    const image = imageOf({ findings: [scoredAt(9.5)] });
    expect(judgeImage(image, rules, now).worsens).toEqual([{ at: now + 5 * day, verdict: 'fail' }]);
    expect(judgeImage(image, rules, now + 5 * day).worsens).toEqual([]);
  });
});

describe('an image with results of several scanners', () => {
  const result = (scannerName: string, findings: JudgedFinding[], scannedAt = now) => ({
    scannerName,
    findings,
    scannedAt,
  });

  test('has the verdict of the one that judges it worst, with its reasons', () => {
    const image = imageOf(
      result('trivy', [scoredAt(5)]),
      result('grype', [scoredAt(9.5)], now - 5 * day),
      result('x', []),
    );
    expect(judgeImage(image, rulesOf(), now)).toMatchObject({
      verdict: 'fail',
      deciding: 'grype',
      reasons: [{ rule: 'cvss-fail', total: 1 }],
      scanners: [
        { scannerName: 'grype', verdict: 'fail' },
        { scannerName: 'trivy', verdict: 'warn' },
        { scannerName: 'x', verdict: 'pass' },
      ],
    });
  });

  test('is decided by the latest of equals', () => {
    const image = imageOf(
      result('trivy', [scoredAt(5)], now - day),
      result('grype', [scoredAt(6), scoredAt(7)]),
    );
    expect(judgeImage(image, rulesOf(), now)).toMatchObject({ deciding: 'grype', reasons: [{ total: 2 }] });
  });

  test('without any has what the policy says of the unscanned', () => {
    const none = { digest: digestOf('a'), results: [] };
    expect(judgeImage(none, rulesOf(), now)).toEqual({
      verdict: 'fail',
      reasons: [{ rule: 'unscanned', findings: [], total: 0 }],
      suppressed: { total: 0, excepted: 0, findings: [] },
      worsens: [],
      scanners: [],
    });
    expect(judgeImage(none, rulesOf({ unscanned: 'pass' }), now)).toMatchObject({
      verdict: 'pass',
      reasons: [],
    });
  });
});

describe('the answer', () => {
  test('names what decided with its fixes, worst first, 50 at most, and how many there are', () => {
    const many = Array.from({ length: 70 }, (_, index) =>
      scoredAt((index % 60) / 10 + 4, { vulnerability: `CVE-${index}` }),
    );
    const [reason] = judged(many, { failAt: 'never' }).reasons;
    expect(reason).toMatchObject({ rule: 'cvss-warn', threshold: 4, total: 70 });
    expect(reason?.findings).toHaveLength(50);
    expect(reason?.findings[0]).toMatchObject({
      vulnerability: 'CVE-59',
      score: 9.9,
      fix: { state: 'fixed', versions: ['1.1.22-r3'] },
    });
    const few = judgeImage(imageOf({ findings: many }), rulesOf(), now, { shown: 3 });
    expect(few.reasons.map(({ findings, total }) => [findings.length, total])).toEqual([[3, 10]]);
  });

  test('shows what does not count apart, the worst 20, and how many of them are excepted', () => {
    const ignored = Array.from({ length: 25 }, (_, index) =>
      scoredAt(9 + (index % 10) / 10, { vulnerability: `CVE-i${index}`, suppressed: { status: 'ignored' } }),
    );
    const exceptions = [
      exceptionOf({ exceptionId: 'e-musl', vulnerability: 'CVE-10', expiresAt: at(now + day) }),
    ];
    const judgement = judgeImage(
      imageOf({ findings: [...ignored, scoredAt(10), scoredAt(5)] }),
      rulesOf({}, { exceptions }),
      now,
    );
    expect(judgement).toMatchObject({
      verdict: 'warn',
      reasons: [{ total: 1 }],
      suppressed: { total: 26, excepted: 1 },
    });
    expect(judgement.suppressed.findings).toHaveLength(20);
    expect(judgement.suppressed.findings[0]).toMatchObject({
      score: 10,
      suppressed: { status: 'excepted', exceptionId: 'e-musl', until: at(now + day) },
    });
  });

  test('has a place for each rule', () => {
    const policies: Policy[] = [
      { knownExploited: 'fail', epss: { failAt: 0.1 }, maxScanAgeDays: 1 },
      { knownExploited: 'warn', epss: { warnAt: 0.1 }, failAt: 'never', maxScanAgeDays: 1, stale: 'warn' },
      { warnAt: 'low', failAt: 'high' },
      { warnAt: 'low', failAt: 'never' },
      { graceDays: 365 },
    ];
    const finding = scoredAt(9.5, { knownExploited: true, epss: { score: 1 }, publishedAt: at(now) });
    const image = imageOf({ findings: [finding] });
    const none = { digest: digestOf('a'), results: [] };
    const seen = new Set([
      ...policies.flatMap((policy) => rulesIn(judgeImage(image, rulesOf(policy), now + 2 * day))),
      ...rulesIn(judgeImage(none, rulesOf(), now)),
    ]);
    expect(verdictRules.filter((rule) => !seen.has(rule))).toEqual([]);
  });
});

describe('a single finding', () => {
  const image = imageOf({ findings: [] });
  const [outcome] = image.results;
  const judge = (finding: JudgedFinding, policy: Policy = {}, rest = {}) =>
    findingJudge(image, outcome ?? resultOf({ findings: [] }), rulesOf(policy, rest), now)(finding);

  test('has the verdict and the rules by which it would decide alone', () => {
    expect(judge(scoredAt(9.5))).toEqual({ verdict: 'fail', rules: ['cvss-fail'] });
    expect(judge(scoredAt(3))).toEqual({ verdict: 'pass', rules: [] });
    expect(judge(scoredAt(9.5, { publishedAt: at(now) }), { graceDays: 3 })).toEqual({
      verdict: 'warn',
      rules: ['cvss-warn', 'grace'],
    });
  });

  test('in several repositories has the rules of the policy that is harshest on it', () => {
    const both = imageOf({ findings: [], references: ['registry.example/shop/web:1', 'nginx'] });
    const [result = resultOf({ findings: [] })] = both.results;
    const rules = rulesOf({ overrides: [{ repositories: ['docker.io/**'], failAt: 'never' }] });
    expect(findingJudge(both, result, rules, now)(scoredAt(9.5))).toEqual({
      verdict: 'fail',
      rules: ['cvss-fail'],
    });
  });

  test('that does not count says why', () => {
    const ignored = { status: 'ignored' as const, source: '.trivyignore' };
    expect(judge(scoredAt(9.5, { suppressed: ignored }))).toEqual({
      verdict: 'pass',
      rules: [],
      suppressed: ignored,
    });
    expect(judge(findingOf({ score: 9.5 }), {}, { statements: [statementOf()] })).toMatchObject({
      verdict: 'pass',
      suppressed: { status: 'not_affected', source: 'vendor.example' },
    });
    const exceptions = [
      exceptionOf({ exceptionId: 'e-1', vulnerability: 'CVE-2026-1000', expiresAt: at(now + 1) }),
    ];
    expect(judge(findingOf({ score: 9.5 }), {}, { exceptions })).toMatchObject({
      suppressed: { status: 'excepted', exceptionId: 'e-1' },
    });
  });
});
