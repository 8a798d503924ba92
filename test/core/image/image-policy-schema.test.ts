import { describe, expect, test } from '@jest/globals';
import { defaultImagePolicy, imagePolicy } from '../../../core/image/image-policy-schema.ts';

const faults = (policy: unknown) => {
  const { error } = imagePolicy.safeParse(policy);
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};
const inverted = 'warnAt must not be above failAt';

describe('an image policy', () => {
  test('of the first build, with two scores, is a whole one', () => {
    expect(imagePolicy.parse({ warnAt: 3, failAt: 7 })).toEqual({
      ...defaultImagePolicy,
      warnAt: 3,
      failAt: 7,
    });
    expect(defaultImagePolicy).toEqual({
      warnAt: 4,
      failAt: 9,
      onlyFixable: false,
      epss: {},
      knownExploited: 'ignore',
      graceDays: 0,
      stale: 'fail',
      unscanned: 'fail',
      mode: 'enforce',
      overrides: [],
    });
  });

  test('comes out as it went in', () => {
    const policy = {
      warnAt: 'medium',
      failAt: 'never',
      onlyFixable: true,
      epss: { warnAt: 0.1, failAt: 0.1 },
      knownExploited: 'fail',
      graceDays: 365,
      maxScanAgeDays: 3650,
      stale: 'warn',
      unscanned: 'pass',
      mode: 'audit',
      overrides: [{ repositories: ['docker.io/**'], failAt: 'critical', graceDays: 0 }],
    };
    expect(imagePolicy.parse(policy)).toEqual(policy);
    expect(imagePolicy.parse(imagePolicy.parse(policy))).toEqual(policy);
  });

  test.each<[name: string, policy: unknown, fault: string]>([
    ['scores the wrong way round', { warnAt: 7, failAt: 6.9 }, `warnAt: ${inverted}`],
    ['severities the wrong way round', { warnAt: 'high', failAt: 'medium' }, `warnAt: ${inverted}`],
    ['EPSS the wrong way round', { epss: { warnAt: 0.5, failAt: 0.4 } }, `epss.warnAt: ${inverted}`],
    [
      'an override whose score is below the policy’s',
      { overrides: [{ repositories: ['a/b'], failAt: 3 }] },
      `overrides.0.failAt: ${inverted}`,
    ],
    [
      'an override that is the wrong way round itself',
      { overrides: [{ repositories: ['a/b'], warnAt: 8, failAt: 7 }] },
      `overrides.0.warnAt: ${inverted}`,
    ],
  ])('refuses %s, and says where', (_, policy, fault) => {
    expect(faults(policy)).toEqual([fault]);
  });

  test.each<[name: string, policy: unknown]>([
    ['equal thresholds', { warnAt: 7, failAt: 7 }],
    ['a score beside a severity', { warnAt: 10, failAt: 'low' }],
    ['never warning but failing', { warnAt: 'never', failAt: 1 }],
    ['an override that sets both', { overrides: [{ repositories: ['a/b'], warnAt: 1, failAt: 2 }] }],
  ])('takes %s', (_, policy) => {
    expect(faults(policy)).toBeUndefined();
  });

  test.each<[name: string, policy: unknown]>([
    ['a score above 10', { failAt: 10.1 }],
    ['a score below 0', { warnAt: -0.1 }],
    ['a severity that nothing should meet', { failAt: 'negligible' }],
    ['a probability above 1', { epss: { failAt: 1.1 } }],
    ['half a day of grace', { graceDays: 0.5 }],
    ['more than a year of grace', { graceDays: 366 }],
    ['scans that are never old enough', { maxScanAgeDays: 0 }],
    ['members that it does not know', { failsAt: 9 }],
    ['members of overrides that it does not know', { overrides: [{ repositories: ['a/b'], failsAt: 9 }] }],
    ['an override of an override', { overrides: [{ repositories: ['a/b'], overrides: [] }] }],
    ['an override for no repository', { overrides: [{ repositories: [] }] }],
    ['an override for what is no repository', { overrides: [{ repositories: ['web:1'] }] }],
    ['51 overrides', { overrides: Array.from({ length: 51 }, () => ({ repositories: ['a/b'] })) }],
  ])('refuses %s', (_, policy) => {
    expect(faults(policy)).toHaveLength(1);
  });

  test('refuses patterns that are too long together, from their first star on: reviews ask them all', () => {
    const overrides = (glob: string) =>
      Array.from({ length: 50 }, () => ({ repositories: Array<string>(20).fill(glob) }));
    const long = `registry.example/${'a'.repeat(200)}/**`;

    expect(faults({ overrides: overrides(long) })).toBeUndefined();
    expect(faults({ overrides: overrides(`r.io/**/${'a'.repeat(17)}`) })).toBeUndefined();
    expect(faults({ overrides: overrides(`r.io/**/${'a'.repeat(18)}`) })).toEqual([
      'overrides: have too long patterns together',
    ]);
  });

  test('says what a threshold may be', () => {
    const may = 'must be a CVSS score (0 to 10), critical, high, medium, low, or never';
    expect(faults({ failAt: 'hihg', overrides: [{ repositories: ['a/b'], warnAt: '7' }] })).toEqual([
      `failAt: ${may}`,
      `overrides.0.warnAt: ${may}`,
    ]);
  });
});
