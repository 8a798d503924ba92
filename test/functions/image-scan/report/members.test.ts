import { describe, expect, test } from '@jest/globals';
import * as z from 'zod';
import {
  aliasesOf,
  cvssScore,
  digestIn,
  label,
  list,
  pairs,
  purl,
  readMembers,
  severityOf,
  tenth,
  time,
  timeIfAny,
  word,
} from '../../../../functions/image-scan/report/members.ts';
import { digestOf } from '../reports.ts';
import { refusal } from './refusal.ts';

describe('what all formats share', () => {
  test.each([
    ['CRITICAL', 'critical'],
    ['Negligible', 'negligible'],
    ['none', 'negligible'],
    ['Info', 'negligible'],
    ['UNKNOWN', 'unknown'],
    ['important', 'unknown'],
    ['', 'unknown'],
    [undefined, 'unknown'],
  ])('reads the severity %j as %s', (given, expected) => {
    expect(severityOf(given)).toBe(expected);
  });

  test.each([
    ['2026-10-01T08:00:00Z', 0],
    ['2026-10-01T08:00:00.000000005Z', 0],
    ['2026-10-01T08:00:00.123456789Z', 123],
    ['2026-10-01t10:30:00+02:30', 0],
    ['2026-10-01T07:00:00.5-01:00', 500],
  ])('reads the RFC 3339 time %s', (given, milliseconds) => {
    expect(time(given)).toBe(Date.parse('2026-10-01T08:00:00Z') + milliseconds);
    expect(timeIfAny(given)).toBe(time(given));
  });

  test('takes no time, and the year 1 of Go, as absent', () => {
    for (const given of [undefined, '', '0001-01-01T00:00:00Z']) expect(time(given)).toBeUndefined();
  });

  test.each(['2026-10-01', '1759305600', '2026-10-01T08:00', '2026-10-01T08:00:00', '2026-10-41T08:00:00Z'])(
    'refuses %s as a time with REPORT_MALFORMED, and does without where it can',
    (given) => {
      expect(refusal(() => time(given, 'CreatedAt'))).toMatchObject({
        code: 'REPORT_MALFORMED',
        message: 'CreatedAt is not an RFC 3339 time.',
      });
      expect(timeIfAny(given)).toBe(given === '2026-10-01' ? Date.parse('2026-10-01T00:00:00Z') : undefined);
    },
  );

  test('rounds a score to one decimal, and takes its version from its vector', () => {
    expect([tenth(7.54), tenth(7.55), tenth(10), tenth(0)]).toEqual([7.5, 7.6, 10, 0]);
    const version = (vector: string | undefined) =>
      cvssScore({ source: 'NVD', version: '3.1', score: 5, vector });
    expect(version('CVSS:4.0/AV:N')).toEqual({
      version: '4.0',
      score: 5,
      vector: 'CVSS:4.0/AV:N',
      source: 'nvd',
    });
    expect(version('CVSS:3.0/AV:N').version).toBe('3.0');
    expect(version('CVSS:9.9/AV:N').version).toBe('3.1');
    expect(version('')).not.toHaveProperty('vector');
  });

  test('takes a package URL, and what is none as absent', () => {
    expect(purl.parse('pkg:deb/debian/a@1')).toBe('pkg:deb/debian/a@1');
    for (const none of [undefined, null, '', 'pkg:deb', 'pkg:/a', 'https://a', 'pkg: deb/a']) {
      expect(purl.parse(none)).toBeUndefined();
    }
  });

  test.each([
    ['vcs_url=git+https://bob:hunter2@git.example/a.git', 'vcs_url=git+https://git.example/a.git'],
    ['download_url=https%3A%2F%2Fhunter2%40host.example%2Fa', 'download_url=https%3A%2F%2Fhost.example%2Fa'],
    ['download_url=https%3a%2f%2fbob%3Ahunter%402%40host.example', 'download_url=https%3a%2f%2fhost.example'],
    ['vcs_url=git%2Bssh://git@git.example/a.git', 'vcs_url=git%2Bssh://git@git.example/a.git'],
    ['download_url=https://host.example/a@2', 'download_url=https://host.example/a@2'],
    ['arch=amd64', 'arch=amd64'],
  ])('takes who logs in out of the addresses in a package URL: %s', (given, kept) => {
    expect(purl.parse(`pkg:npm/%40scope/a@1?${given}`)).toBe(`pkg:npm/%40scope/a@1?${kept}`);
  });

  test('knows a digest in a reference, and what only looks like one', () => {
    const digest = digestOf('a');
    expect(digestIn(`web@${digest}`)).toBe(digest);
    expect(digestIn(digest)).toBe(digest);
    for (const none of [
      undefined,
      '',
      'web:1',
      `${digest}0`,
      `web@${digest} `,
      digest.toUpperCase(),
      `x${digest}`,
    ]) {
      expect(digestIn(none)).toBeUndefined();
    }
  });

  test('keeps labels, and no sentences', () => {
    expect(label('vulnerable_code_not_present')).toBe('vulnerable_code_not_present');
    for (const none of [undefined, '', 'Bob says so', 'a'.repeat(65), '<b>'])
      expect(label(none)).toBeUndefined();
  });

  test('leaves out of the other names the name itself, empty ones and repetitions', () => {
    expect(aliasesOf('CVE-1', ['GHSA-1', 'CVE-1', '', undefined, 'GHSA-1', 'CVE-2'])).toEqual([
      'GHSA-1',
      'CVE-2',
    ]);
  });

  test('shows of a report only short and harmless words', () => {
    expect(word(`<script>${'a'.repeat(100)}`)).toBe(`?script?${'a'.repeat(32)}`);
    expect([word({}), word(2.1)]).toEqual(['of an unknown kind', '2.1']);
  });

  test('gives up on a list after 20 faults, and before reading one that is too long', () => {
    let looked = 0;
    const counting = z.unknown().refine(() => {
      looked += 1;
      return false;
    });
    const faults = refusal(() => readMembers(list(counting), new Array(10_000).fill(0))).errors;
    expect([faults?.length, faults?.[3]?.path, looked]).toEqual([20, '/3', 20]);
    looked = 0;
    expect(refusal(() => readMembers(list(counting, 10), new Array(11).fill(0))).code).toBe(
      'PAYLOAD_TOO_LARGE',
    );
    expect(looked).toBe(0);
    expect(readMembers(z.object({ a: list(z.number()), b: list(z.number()) }), { b: null })).toEqual({
      a: [],
      b: [],
    });
  });

  test('reads an object of any names as pairs, and gives up likewise', () => {
    const numbers = pairs(z.number());
    expect(readMembers(numbers, { a: 1, toString: 2 })).toEqual([
      ['a', 1],
      ['toString', 2],
    ]);
    expect(readMembers(z.object({ a: numbers }), {})).toEqual({ a: [] });
    for (const wrong of [[], 'a', 1])
      expect(refusal(() => readMembers(numbers, wrong)).code).toBe('REPORT_MALFORMED');
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`n${at}`, 'x']));
    expect(refusal(() => readMembers(numbers, many)).errors).toHaveLength(20);
  });
});
