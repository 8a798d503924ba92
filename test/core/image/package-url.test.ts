import { describe, expect, test } from '@jest/globals';
import {
  packageKey,
  partsOf,
  qualifierOf,
  qualifiersOf,
  qualifierTextOf,
  withoutQualifier,
  withRange,
  withVersion,
} from '../../../core/image/package-url.ts';

describe('a package URL', () => {
  test.each([
    [
      'pkg:deb/debian/libstdc%2B%2B6@12.3.0-1~22?arch=amd64',
      { type: 'deb', namespace: 'debian', name: 'libstdc++6', version: '12.3.0-1~22' },
    ],
    ['pkg:npm/%40babel/core@7.0.0', { type: 'npm', namespace: '@babel', name: 'core', version: '7.0.0' }],
    ['pkg:npm/@babel/core', { type: 'npm', namespace: '@babel', name: 'core' }],
    ['pkg:oci/alpine@sha256%3Aab?tag=3', { type: 'oci', name: 'alpine', version: 'sha256:ab' }],
    [
      'pkg:golang/github.com/a/b@v1.0.0#sub/dir',
      { type: 'golang', namespace: 'github.com/a', name: 'b', version: 'v1.0.0' },
    ],
    ['PKG:PyPI/Django@2.0', { type: 'pypi', name: 'Django', version: '2.0' }],
    ['pkg:gem/100%25%zz@1', { type: 'gem', name: '100%25%zz', version: '1' }],
  ])('%s has the parts that it encodes', (purl, parts) => {
    expect(partsOf(purl)).toEqual(parts);
  });

  test.each(['pkg:', 'pkg:npm', 'pkg:npm/', 'https://example.com', 'pkg:/?a=b', ''])(
    '%p is none, and has no parts',
    (purl) => {
      expect(partsOf(purl)).toBeUndefined();
    },
  );

  test('gives a qualifier decoded, and none for one that it lacks', () => {
    const purl = 'pkg:oci/debian@1?repository_url=docker.io%2Flibrary%2Fdebian&arch=&tag=1+2';
    expect(qualifierOf(purl, 'repository_url')).toBe('docker.io/library/debian');
    expect(qualifierOf(purl, 'tag')).toBe('1+2');
    expect(qualifierOf(purl, 'arch')).toBeUndefined();
    expect(qualifierOf('pkg:oci/debian', 'tag')).toBeUndefined();
  });

  test('takes another version, a range of them, or a qualifier less, and keeps what else it has', () => {
    const purl = 'pkg:npm/@babel/core@7.0.0?arch=x&package-id=9';
    expect(withoutQualifier(purl, 'package-id')).toBe('pkg:npm/@babel/core@7.0.0?arch=x');
    expect(withVersion('pkg:npm/@babel/core?arch=x', '1:7.1+b')).toBe('pkg:npm/@babel/core@1:7.1%2Bb?arch=x');
    expect(withRange('pkg:npm/a@1?vers=old', 'vers:npm/>=2|<3')).toBe(
      'pkg:npm/a?vers=vers:npm%2F%3E%3D2%7C%3C3',
    );
    expect(qualifierOf(withRange('pkg:npm/a', 'vers:npm/>=2|<3'), 'vers')).toBe('vers:npm/>=2|<3');
  });

  test('has qualifiers, whose names have no case, and empty ones not at all', () => {
    const purl = 'pkg:oci/web@1?Repository_URL=ghcr.io%2Fshop/web&tag=&arch=amd64#sub?x=y';
    expect([...qualifiersOf(purl)]).toEqual([
      ['repository_url', 'ghcr.io/shop/web'],
      ['arch', 'amd64'],
    ]);
    expect(qualifierTextOf('pkg:npm/a@1?b=c&d=%20')).toBe('b=c&d=%20');
    expect(qualifierTextOf('pkg:npm/a@1')).toBe('');
    expect(qualifiersOf('pkg:generic/a?checksum=sha1:a+b').get('checksum')).toBe('sha1:a+b');
  });

  test.each([
    ['pkg:npm/%40angular/core@1', 'pkg:npm/@angular/core@2?x=y', true],
    ['pkg:golang/github.com/Masterminds/semver', 'pkg:golang/github.com/masterminds/semver', true],
    ['pkg:pypi/Ruamel.Yaml', 'pkg:pypi/ruamel_yaml', true],
    ['pkg:npm/a.b', 'pkg:npm/a-b', false],
    ['pkg:npm/a', 'pkg:pypi/a', false],
    ['pkg:deb/debian/a', 'pkg:deb/ubuntu/a', false],
  ])('%s and %s are the same package: %p', (a, b, same) => {
    const [first, second] = [a, b].map((purl) => {
      const parts = partsOf(purl);
      return parts && packageKey(parts);
    });
    expect(first === second).toBe(same);
    expect(first).toBeDefined();
  });
});
