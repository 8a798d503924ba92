import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { digestOf, imageStores, start } from './scanned-images.ts';

let engine: Engine;
let changes: ReturnType<typeof imageStores>['changes'];
const tenantId = newTenantId();
const digests = Array.from({ length: 10 }, (_, index) => digestOf(index));

beforeAll(async () => {
  engine = await startEngine();
  ({ changes } = imageStores(engine));
  for (const [index, digest] of digests.entries()) await changes.note(tenantId, digest, start + index);
});
afterAll(() => engine.close());

describe('changes of images', () => {
  test('are told from a time on until another, both included, oldest first', async () => {
    const { changes: found, more } = await changes.since(tenantId, {
      after: start + 3,
      until: start + 6,
      limit: 100,
    });
    expect(found.map(({ at, digest }) => [at - start, digest])).toEqual(
      [3, 4, 5, 6].map((index) => [index, digests[index]]),
    );
    expect(more).toBe(false);
  });

  test('go on behind the last one that somebody has', async () => {
    const seen: string[] = [];
    let after: string | number = start;
    for (;;) {
      const page = await changes.since(tenantId, { after, until: start + 8, limit: 4 });
      seen.push(...page.changes.map(({ digest }) => digest));
      after = page.changes.at(-1)?.position ?? after;
      if (!page.more) break;
    }
    expect(seen).toEqual(digests.slice(0, 9));
  });

  test('of one millisecond and of several times are all there', async () => {
    const tenant = newTenantId();
    for (const [index, at] of [start, start, start, start + 1].entries()) {
      await changes.note(tenant, digests[index % 3] ?? '', at);
    }
    const { changes: found } = await changes.since(tenant, { after: start, until: start + 1, limit: 10 });
    expect(found.map(({ at }) => at - start)).toEqual([0, 0, 0, 1]);
  });

  test('are none where the end is before the beginning', async () => {
    const nothing = { changes: [], more: false };
    expect(await changes.since(tenantId, { after: start + 5, until: start + 4, limit: 10 })).toEqual(nothing);
    const newest = await changes.newest(tenantId);
    const behind = { after: newest?.position ?? '', until: start + 100, limit: 10 };
    expect(await changes.since(tenantId, behind)).toEqual(nothing);
  });

  test('have a newest one, for each tenant its own', async () => {
    expect(await changes.newest(tenantId)).toMatchObject({ at: start + 9, digest: digests[9] });
    expect(await changes.newest(newTenantId())).toBeUndefined();
  });

  (unitsAreExact ? test : test.skip)('cost a write each, and a read for ten', async () => {
    const tenant = newTenantId();
    expect(await engine.units(() => changes.note(tenant, digests[0] ?? '', start))).toEqual({
      read: 0,
      write: 1,
    });
    expect(await engine.units(() => changes.newest(tenantId))).toEqual({ read: 0.5, write: 0 });
    expect(await engine.units(() => changes.newest(tenantId, { consistent: true }))).toEqual({
      read: 1,
      write: 0,
    });
    const ten = () => changes.since(tenantId, { after: start, until: start + 10, limit: 10 });
    expect(await engine.units(ten)).toEqual({ read: 1, write: 0 });
  });
});
