import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Labels, readSelector, SelectorFault } from '../../../core/admission/label-selector.ts';

const labels = (known: Record<string, string>, isComplete = true): Labels => ({
  known: new Map(Object.entries(known)),
  isComplete,
});
const shop = labels({ env: 'prod', 'app.kubernetes.io/name': 'shop', role: 'frontend', empty: '' });

describe("A selector selects as Calico's documentation has it", () => {
  test.each([
    ['', true],
    ['  ', true],
    ['all()', true],
    ['! all( )', false],
    ['global()', false],
    ["env == 'prod'", true],
    ['env=="prod"', true],
    ["env == 'dev'", false],
    ["env != 'dev'", true],
    ["none != 'dev'", true],
    ['has(env)', true],
    ['has( app.kubernetes.io/name )', true],
    ['!has(none)', true],
    ["env in { 'dev', 'prod' }", true],
    ["env in {'dev',}", false],
    ['env in {}', false],
    ["env not in {'dev'}", true],
    ["env notin {'prod'}", false],
    ["none not in {'dev'}", true],
    ["none in {'dev'}", false],
    ["env contains 'ro'", true],
    ["none contains ''", false],
    ["env starts with 'pr'", true],
    ["env starts  with 'od'", false],
    ["env ends with 'od'", true],
    ["empty == ''", true],
    ["env == 'dev' || role == 'frontend' && has(env)", true],
    ["(env == 'dev' || role == 'frontend') && has(none)", false],
    ["! has(none) && env == 'prod'", true],
    ['!!has(env)', true],
    ["! has(my-label) || my-label starts with 'prod' && role in {'frontend','business'}", true],
    ["!(env == 'prod')", false],
  ])('%s: %s', (text, expected) => {
    expect(readSelector(text)(shop)).toBe(expected);
  });
});

describe('Where not all labels are known', () => {
  const some = labels({ env: 'prod' }, false);

  test.each([
    ["env == 'prod'", true],
    ["tier == 'web'", undefined],
    ["tier != 'web'", undefined],
    ['!has(tier)', undefined],
    ["tier == 'web' || env == 'prod'", true],
    ["tier == 'web' && env == 'dev'", false],
    ["tier == 'web' && env == 'prod'", undefined],
    ["!(tier == 'web' && env == 'dev')", true],
    ['all()', true],
  ])('%s is answered only if it does not hang on them: %s', (text, expected) => {
    expect(readSelector(text)(some)).toBe(expected);
  });

  test('an answer is the one that all labels give', () => {
    const term = fc
      .tuple(
        fc.constantFrom('a', 'b', 'c'),
        fc.constantFrom("== 'x'", "!= 'x'", "in {'x','y'}", "not in {'y'}"),
      )
      .map((parts) => parts.join(' '));
    const expression = fc.array(fc.tuple(fc.constantFrom('', '!'), term, fc.constantFrom('&&', '||')), {
      minLength: 1,
      maxLength: 5,
    });
    const values = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', 'z'));
    fc.assert(
      fc.property(expression, values, fc.array(fc.constantFrom('a', 'b', 'c')), (parts, all, hidden) => {
        const text = parts
          .map(
            ([not, each, joint], index) =>
              `${index === 0 ? '' : ` ${joint} `}${not} ${not && '('}${each}${not && ')'}`,
          )
          .join('');
        const selector = readSelector(text);
        const seen = Object.fromEntries(
          Object.entries(all).filter(([label]) => !hidden.some((each) => each === label)),
        );
        const answer = selector(labels(seen, false));
        if (answer !== undefined) expect(answer).toBe(selector(labels(all)));
      }),
      { seed: 6, numRuns: 1_000 },
    );
  });
});

describe('What is no selector is refused with the place', () => {
  test.each([
    'env = "prod"',
    'env == prod',
    "env == 'prod",
    "env is 'prod'",
    "env in 'prod'",
    "env in {'a' 'b'}",
    '(has(env)',
    'has(env))',
    'has()',
    'has(env) &',
    "env == 'a' && ",
    '!',
    'any()',
    "== 'x'",
  ])('%s', (text) => {
    expect(() => readSelector(text)).toThrow(SelectorFault);
    expect(() => readSelector(text)).toThrow(/at character \d+$/);
  });

  test('one that nests, or is long, beyond reason', () => {
    expect(() => readSelector('('.repeat(10_000))).toThrow('longer than');
    expect(() => readSelector('('.repeat(1_000))).toThrow('deep');
  });
});
