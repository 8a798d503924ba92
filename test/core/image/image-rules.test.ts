import { describe, expect, test } from '@jest/globals';
import type { ImageException } from '../../../core/image/exception-schema.ts';
import { defaultImagePolicy } from '../../../core/image/image-policy-schema.ts';
import type { JudgedFinding, Verdict } from '../../../core/image/image-schema.ts';
import { judgeImage } from '../../../core/image/judge.ts';
import {
  at,
  day,
  digestOf,
  exceptionOf,
  findingOf,
  imageOf,
  now,
  rulesOf,
  scoredAt,
} from './judged-images.ts';

describe('the policy of a repository', () => {
  const policy = {
    failAt: 9,
    epss: { failAt: 0.5 },
    overrides: [
      { repositories: ['registry.example/shop/legacy', 'registry.example/old/**'], failAt: 'never' },
      { repositories: ['registry.example/shop/*'], failAt: 7, mode: 'audit' },
      { repositories: ['registry.example/**'], unscanned: 'warn', epss: {} },
    ],
  };
  const verdict = (references: readonly string[], finding = scoredAt(8)): Verdict =>
    judgeImage(imageOf({ findings: [finding], references }), rulesOf(policy), now).verdict;

  test('is the override that matches, with its members in the place of the policy’s', () => {
    expect(verdict(['registry.example/shop/web:1'])).toBe('fail');
    expect(verdict(['docker.io/library/web:1'])).toBe('warn');
    const exploited = scoredAt(1, { epss: { score: 0.6 } });
    expect(verdict(['registry.example/shop/web:1'], exploited)).toBe('fail');
    // An override's `epss` is all there is of it.
    expect(verdict(['registry.example/x/web:1'], exploited)).toBe('pass');
  });

  test('is the first override that matches, and none that comes later', () => {
    expect(verdict(['registry.example/shop/legacy:1'], scoredAt(10))).toBe('warn');
    expect(verdict(['registry.example/old/a/b:1'], scoredAt(10))).toBe('warn');
    expect(verdict(['registry.example/old:1'], scoredAt(10))).toBe('fail');
  });

  test('keeps what an override leaves out, however it does so', () => {
    const overrides = [{ repositories: ['docker.io/**'], failAt: undefined, mode: 'audit' }];
    const rules = rulesOf({ failAt: 7, overrides });
    const image = imageOf({ findings: [scoredAt(8)], references: ['nginx'] });
    expect(judgeImage(image, rules, now).verdict).toBe('fail');
    expect(rules.admission('docker.io/library/nginx').mode).toBe('audit');
  });

  test('is read from references as runtimes read them', () => {
    const hub = { overrides: [{ repositories: ['docker.io/library/*'], failAt: 5 }] };
    const image = imageOf({ findings: [scoredAt(5)], references: ['nginx'] });
    expect(judgeImage(image, rulesOf(hub), now).verdict).toBe('fail');
  });

  test('is the harshest where an image is in several: none lets in what another refuses', () => {
    const both = ['registry.example/shop/legacy:1', 'registry.example/shop/web:1'];
    expect(verdict(both)).toBe('fail');
    expect(verdict([...both].reverse())).toBe('fail');
    expect(verdict(['registry.example/shop/legacy:1', 'web:1'], scoredAt(9))).toBe('fail');
  });

  test('holds for names that only an earlier report has given', () => {
    const image = {
      ...imageOf({ findings: [scoredAt(8)] }),
      names: [{ alias: 'registry.example/shop/web:1' }],
    };
    expect(judgeImage(image, rulesOf(policy), now).verdict).toBe('fail');
  });

  test('is that without overrides for an image in no repository', () => {
    expect(verdict([])).toBe('warn');
    expect(verdict(['web.tar', 'Not A Reference'])).toBe('warn');
  });

  test('at admission is that of the path, which need not be of a known image', () => {
    const { admission } = rulesOf(policy);
    expect(admission('registry.example/shop/web')).toEqual({ mode: 'audit', unscanned: 'fail' });
    expect(admission('registry.example/x')).toEqual({ mode: 'enforce', unscanned: 'warn' });
    expect(admission('docker.io/library/web')).toEqual({ mode: 'enforce', unscanned: 'fail' });
    expect(admission('')).toEqual({ mode: 'enforce', unscanned: 'fail' });
    expect(rulesOf({}).stored.policy).toEqual(defaultImagePolicy);
  });
});

describe('an exception', () => {
  const finding = findingOf({ score: 9.5, aliases: ['GHSA-aaaa-bbbb-cccc', 'ALPINE-13661'] });
  const image = (extra: Partial<JudgedFinding> = {}) =>
    imageOf({
      findings: [{ ...finding, ...extra }],
      references: ['registry.example/shop/web:1', 'mirror.example/web:1'],
      digests: [digestOf('b')],
    });
  const verdict = (exception: Partial<ImageException>, extra: Partial<JudgedFinding> = {}): Verdict =>
    judgeImage(image(extra), rulesOf({}, { exceptions: [exceptionOf(exception)] }), now).verdict;

  test.each<[name: string, exception: Partial<ImageException>]>([
    ['its vulnerability', { vulnerability: 'CVE-2026-1000' }],
    ['its vulnerability in another case', { vulnerability: 'cve-2026-1000' }],
    ['any of its aliases', { vulnerability: 'ghsa-AAAA-bbbb-cccc' }],
    ['its package', { package: 'musl' }],
    ['its package in another case', { package: 'MUSL' }],
    ['its package URL without version and qualifiers', { package: 'pkg:apk/alpine/musl' }],
    ['both', { vulnerability: 'ALPINE-13661', package: 'pkg:apk/alpine/musl' }],
    ['it in this image', { vulnerability: 'CVE-2026-1000', scope: { image: digestOf('a') } }],
    ['it in this image, by another of its digests', { package: 'musl', scope: { image: digestOf('b') } }],
    ['it in a repository', { package: 'musl', scope: { repository: 'registry.example/shop/web' } }],
    ['it in repositories that match', { package: 'musl', scope: { repository: 'mirror.example/**' } }],
  ])('that names %s keeps a finding from counting', (_, exception) => {
    expect(verdict(exception)).toBe('pass');
  });

  test.each<[name: string, exception: Partial<ImageException>]>([
    ['another vulnerability', { vulnerability: 'CVE-2026-100' }],
    ['another package', { package: 'mus' }],
    ['the package of another ecosystem', { package: 'pkg:deb/alpine/musl' }],
    ['the vulnerability in another package', { vulnerability: 'CVE-2026-1000', package: 'openssl' }],
    ['another vulnerability in the package', { vulnerability: 'CVE-2026-1', package: 'musl' }],
    ['another image', { package: 'musl', scope: { image: digestOf('c') } }],
    ['another repository', { package: 'musl', scope: { repository: 'registry.example/shop' } }],
    ['repositories one level up', { package: 'musl', scope: { repository: 'registry.example/*' } }],
  ])('that names %s changes nothing', (_, exception) => {
    expect(verdict(exception)).toBe('fail');
  });

  test.each<[name: string, finding: Partial<JudgedFinding>]>([
    ['another CVE', { vulnerability: 'CVE-2026-1', aliases: ['cve-2026-1000', 'GHSA-aaaa-bbbb-cccc'] }],
    ['an advisory on several', { vulnerability: 'ELSA-2026-1', aliases: ['CVE-2026-1000', 'CVE-2026-2'] }],
  ])('that names one CVE does not hold for %s which a report relates to it', (_, extra) => {
    const named = extra.vulnerability ?? '';
    expect(verdict({ vulnerability: 'CVE-2026-1000' }, extra)).toBe('fail');
    expect(verdict({ vulnerability: named }, extra)).toBe('pass');
    const one = { ...extra, vulnerability: 'ELSA-2026-1', aliases: ['CVE-2026-1000'] };
    expect(verdict({ vulnerability: 'CVE-2026-1000' }, one)).toBe('pass');
  });

  test('finds names that have small letters in reports', () => {
    const extra = { vulnerability: 'GHSA-jfh8-c2jp-5v3q', aliases: [] };
    expect(verdict({ vulnerability: 'GHSA-JFH8-C2JP-5V3Q' }, extra)).toBe('pass');
    expect(verdict({ vulnerability: 'GHSA-jfh8-c2jp-5v3q' }, extra)).toBe('pass');
  });

  test('by package URL does not hold for a finding without one', () => {
    const { purl: _purl, ...nameless } = finding;
    const rules = rulesOf({}, { exceptions: [exceptionOf({ package: 'pkg:apk/alpine/musl' })] });
    expect(judgeImage(imageOf({ findings: [nameless] }), rules, now).verdict).toBe('fail');
  });

  test('knows names of PyPI under each of their spellings', () => {
    const purl = 'pkg:pypi/ruamel.yaml_clib@0.2';
    expect(verdict({ package: 'pkg:pypi/Ruamel-Yaml-CLib' }, { purl })).toBe('pass');
  });

  test('stops counting the moment it expires', () => {
    const exceptions = [exceptionOf({ package: 'musl', expiresAt: at(now + day) })];
    const rules = rulesOf({}, { exceptions });
    expect(judgeImage(image(), rules, now + day - 1)).toMatchObject({
      verdict: 'pass',
      suppressed: { excepted: 1 },
    });
    expect(judgeImage(image(), rules, now + day)).toMatchObject({
      verdict: 'fail',
      suppressed: { total: 0, excepted: 0 },
    });
  });

  test('of several holds that lasts longest, whatever their order and time zones', () => {
    const exceptions = [
      exceptionOf({ exceptionId: 'e-short', package: 'musl', expiresAt: '2026-12-01T12:00:00+02:00' }),
      exceptionOf({
        exceptionId: 'e-long',
        vulnerability: 'CVE-2026-1000',
        expiresAt: '2026-12-01T10:30:00Z',
      }),
    ];
    for (const given of [exceptions, [...exceptions].reverse()]) {
      const judgement = judgeImage(image(), rulesOf({}, { exceptions: given }), now);
      expect(judgement.suppressed.findings[0]?.suppressed).toEqual({
        status: 'excepted',
        exceptionId: 'e-long',
        until: '2026-12-01T10:30:00.000Z',
      });
      expect(judgement.worsens).toEqual([{ at: Date.parse('2026-12-01T10:30:00Z'), verdict: 'fail' }]);
    }
  });

  test('adds nothing to what the report has suppressed for good', () => {
    const judgement = judgeImage(
      image({ suppressed: { status: 'ignored' } }),
      rulesOf({}, { exceptions: [exceptionOf({ package: 'musl' })] }),
      now,
    );
    expect(judgement).toMatchObject({ suppressed: { total: 1, excepted: 0 }, worsens: [] });
  });

  test('of thousands is found as fast as of one', () => {
    const exceptions = Array.from({ length: 5_000 }, (_, index) =>
      exceptionOf({
        vulnerability: `CVE-2025-${index}`,
        scope: { repository: `registry.example/**/x${index}` },
      }),
    );
    const rules = rulesOf({}, { exceptions });
    const started = performance.now();
    for (let times = 0; times < 200; times += 1) judgeImage(image(), rules, now);
    // 200 images: a search through all would be a million comparisons.
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
