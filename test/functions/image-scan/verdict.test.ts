import { describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { Finding } from '../../../core/image/image-schema.ts';
import {
  countBySeverity,
  decodeEvidence,
  encodeEvidence,
  evidenceOf,
} from '../../../functions/image-scan/evidence.ts';
import { judge } from '../../../functions/image-scan/verdict.ts';

const finding = (score: number | undefined, extra: Partial<Finding> = {}): Finding => ({
  vulnerability: `CVE-${score ?? 'none'}`,
  aliases: [],
  package: 'p',
  version: '1',
  location: 'debian',
  severity: 'high',
  cvss: [],
  fix: { state: 'unknown', versions: [] },
  ...(score === undefined ? {} : { score }),
  ...extra,
});
const judged = (findings: Finding[], warnAt = 4, failAt = 9) =>
  judge(decodeEvidence(encodeEvidence(evidenceOf(findings))), { warnAt, failAt });

describe('a verdict', () => {
  test('meets both thresholds inclusively', () => {
    expect(judged([finding(9)]).verdict).toBe('fail');
    expect(judged([finding(8.9)]).verdict).toBe('warn');
    expect(judged([finding(4)]).verdict).toBe('warn');
    expect(judged([finding(3.9)]).verdict).toBe('pass');
    expect(judged([]).verdict).toBe('pass');
  });

  test('takes thresholds between tenths at their word', () => {
    expect(judged([finding(7)], 0, 7.05).verdict).toBe('warn');
    expect(judged([finding(7.1)], 0, 7.05).verdict).toBe('fail');
    expect(judged([finding(7.8)], 0, 7.8).verdict).toBe('fail');
  });

  test('names the rule that decided with its findings, worst first, and their number', () => {
    const { reasons } = judged([finding(9.1), finding(5), finding(9.8), finding(3)]);
    expect(reasons).toMatchObject([{ rule: 'cvss-fail', threshold: 9, total: 2 }]);
    expect(reasons[0]?.findings.map(({ score }) => score)).toEqual([9.8, 9.1]);
    expect(judged([finding(5), finding(3)]).reasons).toMatchObject([
      { rule: 'cvss-warn', threshold: 4, total: 1 },
    ]);
    expect(judged([finding(3)]).reasons).toEqual([]);
  });

  test('shows the worst 50 and counts all, under any policy', () => {
    const many = Array.from({ length: 500 }, (_, at) =>
      finding((at % 101) / 10, { vulnerability: `CVE-${at}` }),
    );
    for (const failAt of [0, 2.5, 5, 9.9, 10]) {
      const expected = many.filter(({ score = 0 }) => score >= failAt);
      const [reason] = judged(many, 0, failAt).reasons;
      expect(reason?.total).toBe(expected.length);
      expect(reason?.findings).toHaveLength(Math.min(50, expected.length));
    }
  });

  test('judges an unscored finding by the least score of its severity', () => {
    expect(judged([finding(undefined, { severity: 'critical' })]).verdict).toBe('fail');
    expect(judged([finding(undefined, { severity: 'medium' })]).verdict).toBe('warn');
    expect(judged([finding(undefined, { severity: 'low' })]).verdict).toBe('pass');
    expect(judged([finding(undefined, { severity: 'unknown' })]).verdict).toBe('pass');
  });

  test('does not count what is suppressed, and shows it apart, the worst 20 first', () => {
    const suppressed = { status: 'not_affected' as const };
    const findings = [
      finding(5),
      ...Array.from({ length: 30 }, (_, at) => finding(9 + (at % 10) / 10, { suppressed })),
    ];
    expect(judged(findings)).toMatchObject({ verdict: 'warn', reasons: [{ total: 1 }] });
    const { tenths, suppressed: shown } = decodeEvidence(encodeEvidence(evidenceOf(findings)));
    expect(tenths).toEqual({ 50: 1 });
    expect([shown.total, shown.worst.length, shown.worst[0]?.score]).toEqual([30, 20, 9.9]);
    expect(countBySeverity(findings)).toMatchObject({ high: 1 });
  });

  test('does not depend on the order of the findings', () => {
    const some = ['b', 'a', 'c'].map((vulnerability) => finding(9, { vulnerability }));
    expect(judged(some)).toEqual(judged([...some].reverse()));
  });

  test('stays small enough for an item when names are absurdly long and cannot be compressed', () => {
    const long = () => randomBytes(6_000).toString('base64');
    const many = (extra: Partial<Finding>) =>
      Array.from({ length: 60 }, () => finding(9.5, { location: long(), ...extra }));
    const evidence = evidenceOf([...many({}), ...many({ suppressed: { status: 'ignored' } })]);
    expect(encodeEvidence(evidence).length).toBeLessThan(210 * 1024);
    expect(judged([...evidence.worst]).reasons[0]?.total).toBe(50);
  });
});
