import { describe, expect, test } from '@jest/globals';
import { ifMatches, ifNoneMatches } from '../../../core/api/entity-tag.ts';

describe('If-Match', () => {
  test.each([
    ['"a"', true],
    ['"b", "a"', true],
    ['*', true],
    ['W/"a"', false],
    ['"b"', false],
    ['', false],
  ])('%s is compared strongly', (header, lets) => {
    expect(ifMatches(header, '"a"')).toBe(lets);
  });
});

describe('If-None-Match', () => {
  test.each([
    ['"a"', true],
    ['W/"a"', true],
    ['"b",W/"a"', true],
    ['*', true],
    ['"b"', false],
    ['', false],
    [undefined, false],
  ])('%s is compared weakly', (header, has) => {
    expect([ifNoneMatches(header, '"a"'), ifNoneMatches(header, 'W/"a"')]).toEqual([has, has]);
  });
});
