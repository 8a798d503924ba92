import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { VerdictChange } from '../../../core/image/scanned-image.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { digestOf, imageStores, kept, start } from './scanned-images.ts';

const digest = digestOf('changing');
let engine: Engine;
let history: ReturnType<typeof imageStores>['history'];
beforeAll(async () => {
  engine = await startEngine();
  ({ history } = imageStores(engine));
});
afterAll(() => engine.close());

const change = (at: number, extra: Partial<VerdictChange> = {}): VerdictChange => ({
  at,
  from: 'pass',
  to: 'fail',
  cause: 'scan',
  scanId: 's-1',
  scanner: 'trivy 1.0',
  ...extra,
});

describe("an image's history", () => {
  test('has its changes, newest first, in pages', async () => {
    const tenantId = newTenantId();
    const changes = Array.from({ length: 7 }, (_, index) => change(start + index));
    for (const each of changes) await history.keep(tenantId, digest, [each], kept);
    await history.keep(tenantId, digestOf('another'), [change(start)], kept);
    const read: VerdictChange[] = [];
    let after: string | undefined;
    do {
      const page = await history.list(tenantId, digest, { limit: 3, after });
      read.push(...page.changes);
      after = page.next;
    } while (after !== undefined);
    expect(read).toEqual(changes.toReversed());
  });

  test('has both changes that one upload has seen, its own after the one that others had made', async () => {
    const tenantId = newTenantId();
    const both = [change(start, { to: 'warn', cause: 'policy' }), change(start, { from: 'warn' })];
    await history.keep(tenantId, digest, both, kept);
    const { changes } = await history.list(tenantId, digest, { limit: 10, after: undefined });
    expect(changes).toEqual(both.toReversed());
  });

  test('is the same when the same changes are kept again', async () => {
    const tenantId = newTenantId();
    const both = [change(start), change(start + 1)];
    await history.keep(tenantId, digest, both, kept);
    await history.keep(tenantId, digest, [...both, ...both], kept);
    expect((await history.list(tenantId, digest, { limit: 10, after: undefined })).changes).toHaveLength(2);
  });

  test('is empty for an image that nobody knows, and for another tenant', async () => {
    await history.keep(newTenantId(), digest, [change(start)], kept);
    expect(await history.list(newTenantId(), digest, { limit: 10, after: undefined })).toEqual({
      changes: [],
    });
  });

  (unitsAreExact ? test : test.skip)(
    'costs a write for each change, and half a read for a page of 10',
    async () => {
      const tenantId = newTenantId();
      const changes = Array.from({ length: 10 }, (_, index) => change(start + index));
      expect(await engine.units(() => history.keep(tenantId, digest, changes, kept))).toEqual({
        read: 0,
        write: 10,
      });
      const page = () => history.list(tenantId, digest, { limit: 10, after: undefined });
      expect(await engine.units(page)).toEqual({ read: 0.5, write: 0 });
    },
  );
});
