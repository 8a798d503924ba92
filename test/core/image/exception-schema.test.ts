import { describe, expect, test } from '@jest/globals';
import { exception, exceptionRequest, expiryFault } from '../../../core/image/exception-schema.ts';
import { at, day, digestOf, exceptionOf, now } from './judged-images.ts';

const request = {
  vulnerability: 'CVE-2026-1000',
  scope: 'any',
  justification: 'not reachable',
  expiresAt: '2027-01-01T00:00:00Z',
};
const isTaken = (changes: Readonly<Record<string, unknown>>) =>
  exceptionRequest.safeParse({ ...request, ...changes }).success;

describe('a request for an exception', () => {
  test.each([
    ['a vulnerability', {}],
    ['a vulnerability of another kind of name', { vulnerability: 'RHSA-2026:1234' }],
    ['one with a year and a hash', { vulnerability: 'TEMP-0841856-B18BAF' }],
    ['a package instead', { vulnerability: undefined, package: 'musl' }],
    ['a package of npm with a scope', { package: '@angular/core' }],
    ['a package of Maven', { package: 'org.apache.logging.log4j:log4j-core' }],
    ['a package URL', { package: 'pkg:npm/%40angular/core' }],
    ['an image', { scope: { image: digestOf('a') } }],
    ['repositories', { scope: { repository: 'registry.example/shop/**' } }],
    ['a time in another zone', { expiresAt: '2027-01-01T00:00:00+05:30' }],
    ['a justification in any language', { justification: 'nicht erreichbar – 無影響' }],
  ])('may name %s', (_, changes) => {
    expect(isTaken(changes)).toBe(true);
  });

  test.each([
    ['neither vulnerability nor package', { vulnerability: undefined }],
    ['no scope', { scope: undefined }],
    ['no justification', { justification: undefined }],
    ['a blank justification', { justification: '  ' }],
    ['a justification with line ends', { justification: 'a\nb' }],
    ['a justification with an escape sequence', { justification: 'a\u001b[31m' }],
    ['a justification of 501 characters', { justification: 'x'.repeat(501) }],
    ['no end', { expiresAt: undefined }],
    ['a date instead of a time', { expiresAt: '2027-01-01' }],
    ['a vulnerability that is a sentence', { vulnerability: 'all of them' }],
    ['a vulnerability that is a wildcard', { vulnerability: 'CVE-*' }],
    ['a package URL with a version', { package: 'pkg:apk/alpine/musl@1.1' }],
    ['a package URL with qualifiers', { package: 'pkg:apk/alpine/musl?arch=x86_64' }],
    ['a package URL with a subpath', { package: 'pkg:golang/a/b#c' }],
    ['a package URL without a name', { package: 'pkg:apk' }],
    ['a package with a blank', { package: 'a b' }],
    ['a tag as a repository', { scope: { repository: 'registry.example/shop:1' } }],
    ['a short digest', { scope: { image: 'sha256:abc' } }],
    ['both scopes', { scope: { image: digestOf('a'), repository: 'a/b' } }],
    ['another scope', { scope: 'all' }],
    ['who has made it', { author: 'somebody' }],
  ])('may not have %s', (_, changes) => {
    expect(isTaken(changes)).toBe(false);
  });

  test('is told what its end must look like', () => {
    const refused = exceptionRequest.safeParse({ ...request, expiresAt: '2027-01-01' });
    expect(refused.error?.issues[0]?.message).toBe(
      'must be an RFC 3339 time with its zone, such as 2027-12-31T23:59:59Z',
    );
  });

  test('is stored with its maker, and is read back as it was', () => {
    const stored = exceptionOf({ vulnerability: 'CVE-2026-1000' });
    expect(exception.parse(stored)).toEqual(stored);
  });
});

describe('the end of an exception', () => {
  test('lies in the future, 366 days ahead at most', () => {
    expect(expiryFault(at(now), now)).toBe('must be in the future');
    expect(expiryFault(at(now + 1), now)).toBeUndefined();
    expect(expiryFault(at(now + 366 * day), now)).toBeUndefined();
    expect(expiryFault(at(now + 366 * day + 1), now)).toBe('must be at most 366 days from now');
  });

  test('is understood in any time zone', () => {
    expect(expiryFault('2026-11-23T14:00:00+02:00', now)).toBe('must be in the future');
    expect(expiryFault('2026-11-23T14:00:01+02:00', now)).toBeUndefined();
  });
});
