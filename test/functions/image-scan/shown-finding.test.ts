import { describe, expect, test } from '@jest/globals';
import type { CvssScore, ReportedFinding } from '../../../functions/image-scan/report/normal-form.ts';
import { shownFinding } from '../../../functions/image-scan/shown-finding.ts';

const finding = (extra: Partial<ReportedFinding>): ReportedFinding => ({
  vulnerability: 'CVE-1',
  aliases: [],
  package: 'a',
  version: '1',
  location: '',
  severity: 'high',
  cvss: [],
  fix: { state: 'unknown', versions: [] },
  ...extra,
});
const score = (value: number, version: CvssScore['version'] = '3.1', source = 'nvd'): CvssScore => ({
  version,
  score: value,
  source,
});

describe('a finding as it is shown', () => {
  test('has the highest v3 or v4 score, and the highest v2 score where there is no other', () => {
    expect(shownFinding(finding({ cvss: [score(9.9, '2.0'), score(5), score(6.3, '4.0')] })).score).toBe(6.3);
    expect(shownFinding(finding({ cvss: [score(6.8, '2.0'), score(7.1, '2.0')] })).score).toBe(7.1);
    expect(shownFinding(finding({ cvss: [score(0)] })).score).toBe(0);
    expect(shownFinding(finding({}))).not.toHaveProperty('score');
  });

  test('shows the eight scores that decide first, of more than a call takes arguments', () => {
    const cvss = Array.from({ length: 150_000 }, (_, at) => score(at === 7 ? 9.1 : 1, '3.1', `s${at}`));
    const shown = shownFinding(finding({ cvss: [score(10, '2.0'), ...cvss] }));
    expect(shown.score).toBe(9.1);
    expect(shown.cvss).toHaveLength(8);
    expect(shown.cvss[0]).toEqual(score(9.1, '3.1', 's7'));
  });

  test('has no more than 20 other names and versions', () => {
    const names = Array.from({ length: 50 }, (_, at) => `n${at}`);
    const shown = shownFinding(finding({ aliases: names, fix: { state: 'fixed', versions: names } }));
    expect([shown.aliases.length, shown.fix.versions.length]).toEqual([20, 20]);
  });

  test('keeps what a report says of exploitation, of when it became known, and of why it does not count', () => {
    expect(
      shownFinding(
        finding({
          epss: { score: 0.9, percentile: 0.99 },
          knownExploited: true,
          publishedAt: Date.parse('2026-01-02T03:04:05Z'),
          suppressed: { status: 'fixed' },
        }),
      ),
    ).toMatchObject({
      epss: { score: 0.9, percentile: 0.99 },
      knownExploited: true,
      publishedAt: '2026-01-02T03:04:05.000Z',
      suppressed: { status: 'fixed' },
    });
  });
});
