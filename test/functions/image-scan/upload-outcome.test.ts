import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { JudgedFinding, ScanResult, ScanResults } from '../../../core/image/image-schema.ts';
import { Problem } from '../../../core/problem/problem.ts';
import {
  decodeResult,
  encodeResult,
  uploadProblem,
  type UploadResult,
} from '../../../functions/image-scan/upload-outcome.ts';

/** DynamoDB's 400 KB an item, with room for what else is in it. */
const fits = 300 * 1024;

/** Text that does not compress, the same each time. */
const noise = (seed: string, bytes: number): string => {
  let text = '';
  for (let turn = 0; text.length < bytes; turn += 1)
    text += createHash('sha512').update(`${seed} ${turn}`).digest('base64');
  return text.slice(0, bytes);
};
const finding = (seed: string, bytes: number): JudgedFinding => ({
  vulnerability: `CVE-${seed}`,
  aliases: [],
  package: noise(seed, bytes),
  version: '1',
  location: '',
  severity: 'high',
  fix: { state: 'unknown', versions: [] },
});
const result = (name: string, findings: number, bytes: number): ScanResult => ({
  scanId: `s-${name}`,
  digest: `sha256:${createHash('sha256').update(name).digest('hex')}`,
  verdict: 'fail',
  reasons: [
    {
      rule: 'cvss-fail',
      threshold: 9,
      findings: Array.from({ length: findings }, (_, at) => finding(`${name}-${at}`, bytes)),
      total: 1_000,
    },
  ],
  changesAt: [],
  counts: { critical: 1_000, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 },
  suppressed: { total: 7, excepted: 0, findings: [finding(`${name}-s`, bytes)] },
  latest: true,
});
const kept = (given: UploadResult) => {
  const bytes = encodeResult(given);
  expect(bytes.length).toBeLessThanOrEqual(fits);
  return decodeResult(bytes);
};
const withFindings = (given: ScanResult, shown: number): ScanResult => ({
  ...given,
  reasons: given.reasons.map((each) => ({ ...each, findings: each.findings.slice(0, shown) })),
  suppressed: { ...given.suppressed, findings: given.suppressed.findings.slice(0, shown) },
});

describe('a result, as it is kept', () => {
  test('is the whole result where it fits', () => {
    const one = result('one', 50, 200);
    expect(kept(one)).toEqual(one);
    const several: ScanResults = {
      items: Array.from({ length: 100 }, (_, at) => result(String(at), 3, 100)),
      skipped: [{ image: 'web:1', code: 'REPORT_DIGEST_MISSING', findings: 3 }],
    };
    expect(kept(several)).toEqual(several);
  });

  test('shows fewer findings where it does not, and keeps verdicts, totals and what is left out', () => {
    const skipped = [{ image: 'web:1', code: 'REPORT_DIGEST_MISSING' as const, findings: 3 }];
    const of = (bytes: number): ScanResults => ({
      items: Array.from({ length: 100 }, (_, at) => result(String(at), 3, bytes)),
      skipped,
    });
    for (const [bytes, shown] of [
      [1_500, 1],
      [6_000, 0],
    ] as const) {
      const given = of(bytes);
      expect(kept(given)).toEqual({ items: given.items.map((each) => withFindings(each, shown)), skipped });
    }
  });

  test('of 500 images and 500 that are left out fits, whatever their names are', () => {
    const given: ScanResults = {
      items: Array.from({ length: 500 }, (_, at) => result(String(at), 3, 2_000)),
      skipped: Array.from({ length: 500 }, (_, at) => ({
        image: noise(`skipped ${at}`, 1_024),
        code: 'REPORT_DIGEST_MISSING' as const,
        findings: at,
      })),
    };
    const found = kept(given) as ScanResults;
    expect(found.items.map(({ digest }) => digest)).toEqual(given.items.map(({ digest }) => digest));
    expect(found.skipped.map(({ image, findings }) => [image, findings])).toEqual(
      given.skipped.map(({ image, findings }) => [image?.slice(0, 100), findings]),
    );
  });

  test('of statements is as it is', () => {
    const given = { author: 'vendor', statements: { stored: 1, unchanged: 2, outdated: 3, superseded: 4 } };
    expect(kept(given)).toEqual(given);
  });
});

test('a problem is kept with its code, title, detail and errors, and without a request', () => {
  const errors = [{ path: '/Results/0/Target', message: 'expected string' }];
  expect(
    uploadProblem(new Problem('REPORT_MALFORMED', 'so', { errors, cause: new Error('secret') })),
  ).toEqual({
    code: 'REPORT_MALFORMED',
    title: 'The scan report cannot be read',
    detail: 'so',
    errors,
  });
  expect(uploadProblem(new Problem('NOT_FOUND'))).toEqual({
    code: 'NOT_FOUND',
    title: 'There is no such thing',
  });
});
