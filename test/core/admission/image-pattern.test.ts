import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ImagePattern, maxPattern, PatternFault } from '../../../core/admission/image-pattern.ts';

const matches = (pattern: string, text: string): boolean => new ImagePattern(pattern).matches(text);

describe('A pattern matches as in Go', () => {
  test.each([
    ['^gcr.io/company/production-repository/.*', 'gcr.io/company/production-repository/app', true],
    ['^gcr.io/company/production-repository/.*', 'evil.io/gcr.io/company/production-repository/app', false],
    ['^gcr\\.io/', 'gcrxio/app', false],
    ['nginx', 'docker.io/library/nginx', true],
    ['nginx$', 'docker.io/library/nginx-fork', false],
    ['\\Adocker\\.io/library/nginx\\z', 'docker.io/library/nginx', true],
    ['^(?:gcr|quay)\\.io/(?P<team>[a-z]+)/', 'quay.io/ours/app', true],
    ['^(gcr|quay)\\.io/', 'ghcr.io/app', false],
    ['/app-[0-9]{2,3}$', 'r.io/app-1', false],
    ['/app-[0-9]{2,3}$', 'r.io/app-12', true],
    ['/app-[0-9]{2,3}$', 'r.io/app-1234', false],
    ['/[^/]+$', 'r.io/', false],
    ['[[:alpha:]]\\d\\w\\S', 'xa1b!', true],
    ['[]a-c-]z', ']z', true],
    ['[]a-c-]z', '-z', true],
    ['[\\d.-]x', '-x', true],
    ['\\bapp\\b', 'r.io/my-app', true],
    ['\\bapp\\b', 'r.io/myapp', false],
    ['\\Bapp', 'r.io/myapp', true],
    ['a{,2}', 'a{,2}', true],
    ['\\x2fapp\\x{24}', 'r.io/app$', true],
    ['', 'anything', true],
    ['a||b', '', true],
    ['x*?$', '', true],
    ['(|a)+b', 'aab', true],
    ['a.b', 'a\nb', false],
  ])('%s on %s: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });
});

describe('A pattern that cannot be used is refused in words', () => {
  test.each([
    ['(a', 'does not end'],
    ['a)', 'not open'],
    ['[a', 'without its ]'],
    ['*a', 'repeats nothing'],
    ['a**', 'repeats a repetition'],
    ['a\\', 'ends in a backslash'],
    ['(a)\\1', '\\1, which is not supported'],
    ['(?=a)', '(?:'],
    ['(?i)a', '(?:'],
    ['\\pL', '\\p, which is not supported'],
    ['[[:nope:]]', '[:nope:]'],
    ['[z-a]', 'does not rise'],
    ['[a-\\d]', 'does not rise'],
    ['a{3,2}', 'counts'],
    ['a{1001}', 'counts'],
    ['((a{100}){100}){100}', 'too large'],
    ['(((((a{1000}){1000}){1000}){1000}){1000}){1000}', 'too large'],
    ['('.repeat(60) + ')'.repeat(60), 'deep'],
    ['a'.repeat(maxPattern + 1), 'longer than'],
    ['\\xg0', '\\x'],
  ])('%s', (pattern, fault) => {
    const read = () => new ImagePattern(pattern);

    expect(read).toThrow(PatternFault);
    expect(read).toThrow(fault);
  });
});

describe('Against the engine of JavaScript', () => {
  const atom = fc.constantFrom(
    'a',
    'b',
    'c',
    '.',
    '[ab]',
    '[^a]',
    '\\.',
    '\\d',
    '\\w',
    '/',
    '^',
    '$',
    '\\b',
    '[a-c-]',
  );
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
    piece: fc.oneof(
      { maxDepth: 3 },
      atom,
      fc
        .tuple(
          fc.constantFrom('a', 'b', '[ab]', '.'),
          fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{2,}', '+?'),
        )
        .map(([one, times]) => one + times),
      tie('pattern').map((inner) => `(${inner})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{0,2}', '{2}'))
        .map(([inner, times]) => `(?:${inner})${times}`),
    ),
    pattern: fc.oneof(
      fc.array(tie('piece'), { maxLength: 4 }).map((parts) => parts.join('')),
      fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `${a}|${b}`),
    ),
  }));

  test('both find a match, or both find none, and no more steps are visited than the pattern costs', () => {
    fc.assert(
      fc.property(
        pattern,
        fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.', '/', '1', '-'), maxLength: 8 }),
        (source, text) => {
          const read = new ImagePattern(source);

          expect(read.matches(text)).toBe(new RegExp(source).test(text));
          expect(read.visited).toBeLessThanOrEqual(read.cost * (text.length + 1));
        },
      ),
      { seed: 6, numRuns: 3_000 },
    );
  });
});

describe('What a pattern costs', () => {
  test.each([
    ['^registry\\.example/shop/', 1],
    ['^registry\\.example/shop/.*', 1],
    ['.*nginx.*', 1],
    ['nginx', 1],
    ['^registry\\.example/shop/web$', 2],
    ['^registry.example/shop/', 3],
    ['^[a-z]{300}$', 602],
    ['[a-z]{300}', 301],
    ['^gcr\\.io/[^/]+/x', 7],
  ])('%s: %i', (pattern, cost) => {
    expect(new ImagePattern(pattern).cost).toBe(cost);
  });
});

describe('The time of a match', () => {
  test('and of reading a pattern is not that of what it repeats, be that nothing', () => {
    expect(matches('^((((((){1000}){1000}){1000}){1000}){1000}){1000}$', 'a')).toBe(false);
    expect(matches('^((((((){1000}){1000}){1000}){1000}){1000}){1000}$', '')).toBe(true);
  });

  test.each(['^(a+)+$', '^(a|a)*$', '^(a*)*$', '^(.*a){20}b$'])(
    'is bounded by the pattern times the text: %s, which backtracking never ends',
    (pattern) => {
      expect(matches(pattern, `${'a'.repeat(600)}!`)).toBe(false);
    },
  );
});
