import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import {
  decodeEvidence,
  decisiveTenths,
  encodeEvidence,
  type Evidence,
  evidenceOf,
  isFixable,
  maxEvidenceBytes,
} from '../../../core/image/evidence.ts';
import { type JudgedFinding, severities, type Verdict, verdicts } from '../../../core/image/image-schema.ts';
import { judgeImage } from '../../../core/image/judge.ts';
import {
  anyFinding,
  anyPolicy,
  digestOf,
  findingOf,
  now,
  resultOf,
  rulesOf,
  scoredAt,
} from './judged-images.ts';

const decoded = (findings: readonly JudgedFinding[], maxBytes?: number): Evidence =>
  decodeEvidence(encodeEvidence(evidenceOf(findings), maxBytes));
const harshness = (verdict: Verdict) => verdicts.indexOf(verdict);
const runs = { seed: 6, numRuns: 300 };

/** Findings of which gzip leaves most: about `size` bytes each. */
const long = (count: number, size: number, extra: Partial<JudgedFinding> = {}) =>
  Array.from({ length: count }, (_, index) =>
    scoredAt(9.5 - index / 1_000, {
      vulnerability: `CVE-2026-${index}`,
      location: randomBytes(size)
        .toString('latin1')
        .replace(/[^ -~]/g, 'x'),
      ...extra,
    }),
  );

describe('evidence', () => {
  test('says after it has been stored what it has said before', () => {
    fc.assert(
      fc.property(fc.array(anyFinding, { maxLength: 30 }), (findings) => {
        const evidence = evidenceOf(findings);
        expect(decodeEvidence(encodeEvidence(evidence))).toEqual(evidence);
        expect(evidence.findings).toHaveLength(findings.length);
      }),
      runs,
    );
  });

  test('keeps every member of a finding but its scores by source', () => {
    const whole: Required<JudgedFinding> = {
      ...findingOf({ score: 7.5, aliases: ['GHSA-aaaa-bbbb-cccc'] }),
      score: 7.5,
      purl: 'pkg:apk/alpine/musl@1',
      epss: { score: 0.42, percentile: 0.97 },
      knownExploited: false,
      publishedAt: '2026-08-06T16:15:00.123Z',
      suppressed: { status: 'not_affected', justification: 'component_not_present', source: 'a.vex' },
    };
    const scored = { ...whole, cvss: [{ version: '3.1' as const, score: 7.5, source: 'nvd' }] };
    expect(decodeEvidence(encodeEvidence(evidenceOf([scored]))).findings).toEqual([whole]);
    expect(decoded([]).findings).toEqual([]);
  });

  test('has the same bytes whatever the order of findings and of their members', () => {
    const arranged = fc
      .array(anyFinding, { maxLength: 20 })
      .chain((findings) =>
        fc.tuple(fc.constant(findings), fc.shuffledSubarray(findings, { minLength: findings.length })),
      );
    fc.assert(
      fc.property(arranged, ([findings, shuffled]) => {
        const turned = shuffled.map(
          (each) => Object.fromEntries(Object.entries(each).reverse()) as JudgedFinding,
        );
        const [first, second] = [findings, turned].map((each) => encodeEvidence(evidenceOf(each)));
        expect(Buffer.from(first ?? []).equals(Buffer.from(second ?? []))).toBe(true);
      }),
      runs,
    );
  });

  test('has the same bytes where findings differ in nothing that they are told by', () => {
    const findings = ['1', '2', '3'].map((version) =>
      findingOf({ fix: { state: 'fixed', versions: [version] } }),
    );
    const [first, second] = [findings, [...findings].reverse()].map((each) =>
      encodeEvidence(evidenceOf(each)),
    );
    expect(Buffer.from(first ?? []).equals(Buffer.from(second ?? []))).toBe(true);
  });

  test('has the worst first: by score, then severity, then name; unscored ones at the foot of their band', () => {
    const findings = [
      scoredAt(undefined, { severity: 'critical', vulnerability: 'unscored' }),
      scoredAt(9, { vulnerability: 'b', severity: 'high' }),
      scoredAt(9, { vulnerability: 'c', severity: 'critical' }),
      scoredAt(9, { vulnerability: 'a', severity: 'high' }),
      scoredAt(9.1, { vulnerability: 'z', severity: 'low' }),
      scoredAt(0, { vulnerability: 'y' }),
    ];
    const order = evidenceOf(findings).findings.map(({ vulnerability }) => vulnerability);
    expect(order).toEqual(['z', 'c', 'unscored', 'a', 'b', 'y']);
    expect(severities.map((severity) => decisiveTenths({ severity }))).toEqual([90, 70, 40, 1, 0, 0]);
  });

  test('calls fixable what has a fix by its state or by a version', () => {
    expect(isFixable(findingOf({ fix: { state: 'fixed', versions: [] } }))).toBe(true);
    expect(isFixable(findingOf({ fix: { state: 'unknown', versions: ['2'] } }))).toBe(true);
    expect(isFixable(findingOf({ fix: { state: 'wont-fix', versions: [] } }))).toBe(false);
  });

  test('of 1,500 findings as reports have them takes less than 20 KB, of 100 less than 4 KB', () => {
    // Unlike a real report's, no names are alike here: the one of the benchmark takes 6 KB for as many.
    const findings = Array.from({ length: 1_500 }, (_, index) => {
      const [vulnerability, inPackage] = [index % 400, (index * 7) % 180];
      return scoredAt(((vulnerability * 37) % 100) / 10, {
        vulnerability: `CVE-20${10 + (vulnerability % 16)}-${1_000 + ((vulnerability * 7_919) % 90_000)}`,
        severity: severities[vulnerability % 6] ?? 'unknown',
        package: `lib${(inPackage * 7_919) % 9_973}`,
        version: `${inPackage % 5}.${inPackage % 31}-${inPackage}`,
        purl: `pkg:deb/debian/lib${(inPackage * 7_919) % 9_973}@${inPackage % 5}.${inPackage % 31}-${inPackage}?arch=amd64`,
        epss: { score: ((vulnerability * 31) % 10_000) / 10_000 },
        publishedAt: new Date(now - vulnerability * 86_400_123).toISOString(),
      });
    });
    expect(encodeEvidence(evidenceOf(findings)).length).toBeLessThan(20 * 1024);
    expect(encodeEvidence(evidenceOf(findings.slice(0, 100))).length).toBeLessThan(4 * 1024);
  });
});

describe('evidence beyond its limit', () => {
  test.each([
    ['200 KB', undefined, maxEvidenceBytes],
    ['what is asked for', 48 * 1024, 48 * 1024],
  ])('keeps the worst findings that fit %s and counts the others', (_, asked, limit) => {
    const findings = long(500, 2_000);
    const encoded = encodeEvidence(evidenceOf(findings), asked);
    const { findings: kept, rest, suppressedRest } = decodeEvidence(encoded);
    expect(encoded.length).toBeLessThanOrEqual(limit);
    expect(encoded.length).toBeGreaterThan(limit * 0.7);
    expect(kept).toEqual(evidenceOf(findings).findings.slice(0, kept.length));
    expect(kept.length + rest.reduce((sum, { count }) => sum + count, 0)).toBe(500);
    expect(suppressedRest).toBe(0);
  });

  test('keeps no more than 10,000 apart, however small they are', () => {
    const findings = Array.from({ length: 10_002 }, (_, index) =>
      scoredAt(index < 3 ? 9.5 : 1, { vulnerability: `CVE-2026-${index}` }),
    );
    const { findings: kept, rest } = decoded(findings);
    expect(kept).toHaveLength(10_000);
    expect(rest).toMatchObject([{ count: 2, tenths: 10 }]);
  });

  test('counts suppressed ones apart, and folds what has been folded again', () => {
    const findings = [
      ...long(60, 6_000),
      ...long(60, 6_000, { suppressed: { status: 'ignored' }, score: 1 }),
    ];
    const once = decoded(findings, 80 * 1024);
    const twice = decodeEvidence(encodeEvidence(once, 40 * 1024));
    for (const { findings: kept, rest, suppressedRest } of [once, twice]) {
      const counted = kept.filter(({ suppressed }) => !suppressed).length;
      expect(counted + rest.reduce((sum, { count }) => sum + count, 0)).toBe(60);
      expect(kept.length - counted + suppressedRest).toBe(60);
    }
    expect(twice.findings.length).toBeLessThan(once.findings.length);
    expect(twice.findings.length).toBeGreaterThan(0);
  });

  test('fits even where no two findings are alike, at the price of EPSS', () => {
    const noise = randomBytes(5 * 8_000);
    const byte = (index: number) => noise[index] ?? 0;
    const findings = Array.from({ length: 8_000 }, (_, index) =>
      scoredAt((byte(5 * index) % 101) / 10, {
        severity: severities[byte(5 * index + 1) % 6] ?? 'unknown',
        knownExploited: byte(5 * index + 2) % 2 === 0,
        epss: { score: (byte(5 * index + 3) % 100) / 100 },
        fix: { state: byte(5 * index + 4) % 2 ? 'fixed' : 'unknown', versions: [] },
        location: `usr/lib/${index}`,
      }),
    );
    for (const maxBytes of [10 * 1024, 40 * 1024]) {
      const encoded = encodeEvidence(evidenceOf(findings), maxBytes);
      const { findings: kept, rest } = decodeEvidence(encoded);
      expect(encoded.length).toBeLessThanOrEqual(maxBytes);
      expect(kept.length + rest.reduce((sum, { count }) => sum + count, 0)).toBe(8_000);
      if (kept.length > 0) continue;
      // Rounded up: what has any is taken for the worst.
      expect(new Set(rest.map(({ epss }) => epss))).toEqual(new Set([0, 100]));
    }
  });

  test('never helps an image, under no policy and at no time', () => {
    const folded = (findings: readonly JudgedFinding[], kept: number): Evidence => {
      const { findings: all } = evidenceOf(findings);
      // As the encoder folds: that a small evidence is folded at all takes findings with long locations.
      const noise = all.map((each, index) =>
        index < kept ? each : { ...each, location: randomBytes(60_000).toString('base64') },
      );
      return decodeEvidence(encodeEvidence({ findings: noise, rest: [], suppressedRest: 0 }, 40 * 1024));
    };
    const image = (evidence: Evidence) => ({
      digest: digestOf('a'),
      results: [
        {
          scannerName: 'grype',
          scannedAt: now,
          aliases: { references: [], digests: [] },
          evidence: () => evidence,
        },
      ],
    });
    fc.assert(
      fc.property(
        fc.array(anyFinding, { minLength: 1, maxLength: 6 }),
        fc.nat({ max: 4 }),
        anyPolicy,
        fc.nat({ max: 400 }),
        (findings, kept, policy, days) => {
          const rules = rulesOf(policy);
          const few = folded(findings, kept);
          expect(few.findings.length).toBeLessThanOrEqual(kept);
          const [whole, less] = [evidenceOf(findings), few].map((each) =>
            judgeImage(image(each), rules, now + days * 86_400_000),
          );
          expect(harshness(less?.verdict ?? 'pass')).toBeGreaterThanOrEqual(
            harshness(whole?.verdict ?? 'fail'),
          );
          expect(less?.suppressed.total).toBe(whole?.suppressed.total);
        },
      ),
      { seed: 6, numRuns: 120 },
    );
  });

  test('counts what was folded among the findings of a reason', () => {
    const findings = long(200, 2_000).map((each) => ({ ...each, score: 9.5 }));
    const evidence = decoded(findings, 100 * 1024);
    const results = [
      {
        scannerName: 'grype',
        scannedAt: now,
        aliases: { references: [], digests: [] },
        evidence: () => evidence,
      },
    ];
    const [reason] = judgeImage({ digest: digestOf('a'), results }, rulesOf(), now).reasons;
    expect(evidence.findings.length).toBeLessThan(100);
    expect(reason).toMatchObject({ rule: 'cvss-fail', total: 200 });
    expect(reason?.findings).toHaveLength(Math.min(50, evidence.findings.length));
  });

  test('is told apart by what policies ask for: score, severity, fix, EPSS and known exploitation', () => {
    // The worst is so long that the other cannot be kept beside it.
    const folded = (extra: Partial<JudgedFinding>) => {
      const [worst] = long(1, 60_000, { score: 10, suppressed: { status: 'ignored' } });
      const findings = [...(worst ? [worst] : []), scoredAt(5, { severity: 'low', ...extra })];
      const evidence = decoded([...findings, ...findings], 10 * 1024);
      expect(evidence).toMatchObject({ findings: [], rest: [{ count: 2 }], suppressedRest: 2 });
      return evidence;
    };
    const verdict = (extra: Partial<JudgedFinding>, policy: Readonly<Record<string, unknown>>) => {
      const evidence = folded(extra);
      const result = { ...resultOf({ findings: [] }), evidence: () => evidence };
      return judgeImage({ digest: digestOf('a'), results: [result] }, rulesOf(policy), now).verdict;
    };
    const unfixed = { fix: { state: 'not-fixed' as const, versions: [] } };
    expect(verdict({}, { failAt: 5 })).toBe('fail');
    expect(verdict({}, { failAt: 5.1 })).toBe('warn');
    expect(verdict({}, { warnAt: 'never', failAt: 'low' })).toBe('fail');
    expect(verdict({}, { warnAt: 'medium' })).toBe('pass');
    expect(verdict({}, { onlyFixable: true })).toBe('warn');
    expect(verdict(unfixed, { onlyFixable: true })).toBe('pass');
    expect(verdict({ epss: { score: 0.07 } }, { epss: { failAt: 0.07 } })).toBe('fail');
    expect(verdict({ epss: { score: 0.07 } }, { epss: { failAt: 0.071 } })).toBe('warn');
    expect(verdict({ knownExploited: true }, { knownExploited: 'fail' })).toBe('fail');
    expect(verdict({ knownExploited: false }, { knownExploited: 'fail' })).toBe('warn');
  });
});
