import { describe, expect, test } from '@jest/globals';
import { bomLinkIn, bomLinkOf } from '../../../../functions/image-scan/report/bom-link.ts';

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
