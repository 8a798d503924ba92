import { describe, expect, test } from '@jest/globals';
import { imageDigest } from '../../../functions/image-scan/image-digest.ts';
import { digestOf } from './reports.ts';

const [one, two] = [digestOf('1'), digestOf('2')];
const nothing = { requested: undefined, requestedImage: undefined, repoDigests: [], reported: undefined };
const code = (given: Partial<Parameters<typeof imageDigest>[0]>) => {
  try {
    return imageDigest({ ...nothing, ...given });
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('the digest of a scanned image', () => {
  test('is the one that the report names', () => {
    expect(code({ repoDigests: ['', `registry.example/a@${one}`] })).toBe(one);
    expect(code({ reported: `registry.example/a@${one}`, repoDigests: [`registry.example/b@${two}`] })).toBe(
      one,
    );
  });
  test('is what the request says where the report names none', () => {
    expect(code({ requested: one, repoDigests: [''] })).toBe(one);
    expect(code({ requestedImage: `registry.example/a@${one}` })).toBe(one);
  });
  test('may be any of those that the report names', () => {
    expect(code({ requested: two, repoDigests: [`a@${one}`, `b@${two}`] })).toBe(two);
  });
  test('is refused with REPORT_DIGEST_MISMATCH where request and report, or image and digest, differ', () => {
    expect(code({ requested: two, repoDigests: [`a@${one}`] })).toBe('REPORT_DIGEST_MISMATCH');
    expect(code({ requested: two, requestedImage: `a@${one}` })).toBe('REPORT_DIGEST_MISMATCH');
  });
  test('is asked for with REPORT_DIGEST_MISSING where there is none, or more than one', () => {
    expect(code({ repoDigests: [''], requestedImage: 'a:1' })).toBe('REPORT_DIGEST_MISSING');
    expect(code({ repoDigests: [`a@${one}`, `b@${two}`] })).toBe('REPORT_DIGEST_MISSING');
  });
});
