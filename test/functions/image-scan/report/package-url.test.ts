import { describe, expect, test } from '@jest/globals';
import { bomLinkIn, bomLinkOf } from '../../../../functions/image-scan/report/bom-link.ts';
import {
  partsOf,
  qualifierOf,
  withoutQualifier,
  withRange,
  withVersion,
} from '../../../../functions/image-scan/report/package-url.ts';

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
});

describe('a BOM-Link', () => {
  const bom = 'urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1';

  test('names a document, and an element in it whose encoding is undone once', () => {
    expect(bomLinkIn(bom.toUpperCase().replace('URN:CDX', 'urn:cdx'))).toEqual({ bom });
    expect(bomLinkIn(`${bom}#acme%20product`)).toEqual({ bom, ref: 'acme product' });
    expect(bomLinkIn(`${bom}#pkg%3Adeb%2Fa%2Flibstdc%252B%252B6%401`)).toEqual({
      bom,
      ref: 'pkg:deb/a/libstdc%2B%2B6@1',
    });
    expect(bomLinkIn(`${bom}#pkg:deb/a/libstdc%2B%2B6@1`)).toEqual({
      bom,
      ref: 'pkg:deb/a/libstdc%2B%2B6@1',
    });
    expect(bomLinkIn(`${bom}#100%`)).toEqual({ bom, ref: '100%' });
  });

  test.each(['urn:cdx:1/1', 'urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/0', 'acme-product', ''])(
    '%p is none',
    (ref) => {
      expect(bomLinkIn(ref)).toBeUndefined();
    },
  );

  test('of a document comes from its serial number and version, of which 1 is the first', () => {
    expect(bomLinkOf('urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79')).toBe(bom);
    expect(bomLinkOf('3E671687-395b-41f5-a30f-a58921a69b79', 2)).toBe(bom.replace('/1', '/2'));
    expect(bomLinkOf('urn:uuid:none')).toBeUndefined();
    expect(bomLinkOf(undefined)).toBeUndefined();
  });
});
