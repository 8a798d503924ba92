import { describe, expect, test } from '@jest/globals';
import { defaultImagePolicy } from '../../../core/image/image-policy-schema.ts';
import type { KnownRules } from '../../../core/image/image-rules-repository.ts';
import { RulesCache } from '../../../core/image/rules-cache.ts';

const rulesWith = (exceptions: number): KnownRules => ({
  rules: {
    revision: 1,
    policy: defaultImagePolicy,
    exceptions: Array.from({ length: exceptions }, (_, at) => ({
      exceptionId: String(at),
      scope: 'any',
      justification: 'x',
      expiresAt: '2027-01-01T00:00:00.000Z',
      author: 'user:test',
      createdAt: '2026-11-23T12:00:00.000Z',
    })),
    statements: [],
  },
  documents: {},
  replaced: [],
  changes: [],
});
const kept = (cache: RulesCache, tenants: number) =>
  Array.from({ length: tenants }, (_, at) => at).filter((at) => cache.get(String(at)) !== undefined);

describe('the rules in memory', () => {
  test('are those of the tenants that were asked for last, up to 50,000 exceptions together', () => {
    const cache = new RulesCache();
    const large = rulesWith(5_000);
    for (let at = 0; at < 10; at += 1) cache.keep(String(at), large);
    expect(kept(cache, 10)).toHaveLength(10);
    // The first was asked for since, so that the second goes.
    cache.get('0');
    cache.keep('10', large);
    expect(kept(cache, 11)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('are those of at most 500 tenants, however small they are', () => {
    const cache = new RulesCache();
    const small = rulesWith(0);
    for (let at = 0; at < 600; at += 1) cache.keep(String(at), small);
    const left = kept(cache, 600);
    expect([left.length, left[0]]).toEqual([500, 100]);
  });

  test('are replaced, not counted twice', () => {
    const cache = new RulesCache();
    for (let times = 0; times < 30; times += 1) cache.keep('0', rulesWith(5_000));
    cache.keep('1', rulesWith(1));
    expect(kept(cache, 2)).toEqual([0, 1]);
  });
});
