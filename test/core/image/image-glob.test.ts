import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ImagePattern } from '../../../core/admission/image-pattern.ts';
import { ImageGlob, imageGlobText } from '../../../core/image/image-glob.ts';

const matches = (glob: string, path: string) => new ImageGlob(glob).matches(path);

describe('a glob of image paths', () => {
  test.each([
    ['registry.example/shop/web', 'registry.example/shop/web', true],
    ['registry.example/shop/web', 'registry.example/shop/web2', false],
    ['registry.example/shop/web', 'registry.example/shop/we', false],
    ['registry.example/shop/*', 'registry.example/shop/web', true],
    ['registry.example/shop/*', 'registry.example/shop/web/api', false],
    ['registry.example/shop/*', 'registry.example/shop', false],
    ['registry.example/**', 'registry.example/shop/web/api', true],
    ['registry.example/**/api', 'registry.example/shop/web/api', true],
    ['registry.example/**/api', 'registry.example/shop/web/apis', false],
    ['**/web', 'registry.example/shop/web', true],
    ['*/web', 'registry.example/shop/web', false],
    ['*.example/web-*-x', 'eu.example/web-a-b-x', true],
    ['registry.example/w*b', 'registry.example/wb', true],
    ['registry.example/a.c', 'registry.example/abc', false],
    ['[::1]:5000/web', '[::1]:5000/web', true],
  ])('%s: %s is %s', (glob, path, expected) => {
    expect(matches(glob, path)).toBe(expected);
  });

  test('matches what the regular expression of the same meaning matches', () => {
    const text = (parts: string[], maxLength: number) =>
      fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength }).map((each) => each.join(''));
    fc.assert(
      fc.property(
        text(['a', 'b', '/', '.', '*', '**', 'ab'], 8),
        text(['a', 'b', '/', '.', 'ab'], 10),
        (glob, path) => {
          const source = glob
            .split(/(\*+)/)
            .map((part) =>
              part === '*' ? '[^/]*' : part.startsWith('*') ? '.*' : part.replaceAll('.', '\\.'),
            )
            .join('');
          expect(matches(glob, path)).toBe(new ImagePattern(`^${source}$`).matches(path));
        },
      ),
      { seed: 6, numRuns: 3_000 },
    );
  });

  test('takes time linear in the path, whatever its stars', () => {
    const glob = `a/${'*a'.repeat(150)}b`;
    expect(glob.length).toBeLessThan(320);
    const started = performance.now();
    expect(matches(glob, `a/${'a'.repeat(255)}`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(200);
  });

  test('is a registry and a repository, of at most 320 characters', () => {
    for (const fine of ['docker.io/**', 'registry.example:5000/a/b_c', '**/web', '[::1]:5000/x']) {
      expect(imageGlobText.safeParse(fine).success).toBe(true);
    }
    for (const wrong of [
      '',
      'web',
      'Registry/x',
      'a/b:tag',
      'a/b@sha256',
      'a//b',
      'a/',
      `a/${'b'.repeat(320)}`,
      'a/b c',
    ]) {
      expect(imageGlobText.safeParse(wrong).success).toBe(false);
    }
  });
});
