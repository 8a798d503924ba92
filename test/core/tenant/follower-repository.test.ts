import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FollowerRepository, followersOfTenant } from '../../../core/tenant/follower-repository.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

const now = Date.UTC(2026, 10, 23);
const until = now + 25_000;
let tables = 0;
/** Of tenants of its own. */
const repository = () => {
  tables += 1;
  const letter = 'abcdefghijklmnop'[tables] ?? '';
  return {
    followers: new FollowerRepository(engine.access, engine.tables.tenant, 'PROGRESS'),
    tenant: `t-${'a'.repeat(19)}${letter}`,
    other: `t-${'b'.repeat(19)}${letter}`,
  };
};
const names = Array.from({ length: followersOfTenant }, (_, index) => `follower-${index}`);

describe('the places of a tenant’s followers', () => {
  test('are five; a sixth gets none, another tenant’s does', async () => {
    const { followers, tenant, other } = repository();
    for (const name of names) expect(await followers.enter(tenant, name, { until, now })).toBe(true);
    expect(await followers.enter(tenant, 'one-too-many', { until, now })).toBe(false);
    expect(await followers.enter(other, 'theirs', { until, now })).toBe(true);
  });

  test('are free again when they are given back, or lapse', async () => {
    const { followers, tenant } = repository();
    for (const name of names) await followers.enter(tenant, name, { until, now });
    await followers.leave(tenant, 'follower-3', now);
    await followers.leave(tenant, 'follower-3', now);
    expect(await followers.enter(tenant, 'next', { until, now })).toBe(true);
    expect(await followers.enter(tenant, 'too-soon', { until, now: until - 1 })).toBe(false);
    expect(await followers.enter(tenant, 'in-time', { until: until + 25_000, now: until })).toBe(true);
  });

  test('are never more, however many come and go at once', async () => {
    const { followers, tenant } = repository();
    const many = Array.from({ length: 30 }, (_, index) => `racer-${index}`);
    const entered = await Promise.all(many.map((name) => followers.enter(tenant, name, { until, now })));
    const inside = entered.filter(Boolean).length;
    expect(inside).toBeGreaterThan(0);
    expect(inside).toBeLessThanOrEqual(followersOfTenant);
    let more = 0;
    while (await followers.enter(tenant, `late-${more}`, { until, now })) more += 1;
    expect(inside + more).toBe(followersOfTenant);
  });

  (unitsAreExact ? test : test.skip)('cost what the documentation says', async () => {
    const { followers, tenant } = repository();
    const units = async (work: () => Promise<unknown>) => {
      const { read, write } = await engine.units(work);
      return [read, write];
    };
    for (const name of names)
      expect(await units(() => followers.enter(tenant, name, { until, now }))).toEqual([1, 1]);
    expect(await units(() => followers.enter(tenant, 'one-too-many', { until, now }))).toEqual([1, 0]);
    expect(await units(() => followers.leave(tenant, 'follower-0', now))).toEqual([1, 1]);
    expect(await units(() => followers.leave(tenant, 'follower-0', now))).toEqual([1, 0]);
  });
});
