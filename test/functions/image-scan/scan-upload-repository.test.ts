import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import {
  type UploadOrder,
  ScanUploadRepository,
} from '../../../functions/image-scan/scan-upload-repository.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

const now = Date.UTC(2026, 10, 23, 12);
const leaseUntil = now + 40_000;
const uploadId = `u-${'a'.repeat(26)}`;
const order: UploadOrder = {
  uploadId,
  createdAt: now,
  urlUntil: now + 900_000,
  contentLength: 5_000_000,
  sha256: '0'.repeat(64),
  image: 'registry.example/shop/web:1',
  may: { report: true, state: false },
};
const problem = { code: 'REPORT_MALFORMED', title: 'The scan report cannot be read' } as const;

let engine: Engine;
let uploads: ScanUploadRepository;
let tenantId: string;
beforeAll(async () => {
  engine = await startEngine();
  uploads = new ScanUploadRepository(engine.access, engine.tables.tenant);
});
afterAll(() => engine.close());
beforeEach(async () => {
  tenantId = newTenantId();
  await uploads.create(tenantId, order);
});
const claim = (at = now) => uploads.claim(tenantId, uploadId, { now: at, leaseUntil: at + 40_000 });

describe('an upload', () => {
  test('waits with all that it was asked for with, for its own tenant alone', async () => {
    expect(await uploads.find(tenantId, uploadId)).toEqual({
      ...order,
      state: 'waiting',
      attempts: 0,
      leaseUntil: 0,
    });
    expect(await uploads.find(newTenantId(), uploadId)).toBeUndefined();
    expect(await uploads.claim(newTenantId(), uploadId, { now, leaseUntil })).toBeUndefined();
    expect(await uploads.find(tenantId, `u-${'b'.repeat(26)}`)).toBeUndefined();
  });

  test('is claimed by one of ten at once, and by nobody else while that one has it', async () => {
    const claims = await Promise.all(Array.from({ length: 10 }, () => claim()));
    expect(claims.filter((each) => each !== undefined)).toEqual([
      { ...order, state: 'processing', attempts: 1, leaseUntil },
    ]);
    expect(await claim(leaseUntil - 1)).toBeUndefined();
  });

  test('is claimed again when the claim has lapsed, or was given back, and counts its attempts', async () => {
    const first = await claim();
    expect(await claim(leaseUntil)).toMatchObject({ attempts: 2, leaseUntil: leaseUntil + 40_000 });
    if (!first) throw new Error('not claimed');
    // Of an attempt that another one has followed.
    await uploads.release(tenantId, first, now);
    expect(await claim(leaseUntil)).toBeUndefined();
    await uploads.release(tenantId, { ...first, attempts: 2 }, leaseUntil + 5);
    expect(await claim(leaseUntil + 4)).toBeUndefined();
    expect(await claim(leaseUntil + 5)).toMatchObject({ attempts: 3 });
  });

  test('has the outcome of whoever finishes first, and no other after it', async () => {
    await claim();
    const result = Buffer.from('result');
    expect(await uploads.finish(tenantId, uploadId, { state: 'done', result })).toBe(true);
    expect(await uploads.finish(tenantId, uploadId, { state: 'failed', problem })).toBe(false);
    const found = await uploads.find(tenantId, uploadId);
    expect(found).toMatchObject({ state: 'done', attempts: 1 });
    expect([Buffer.from(found?.result ?? []).toString(), found?.problem]).toEqual(['result', undefined]);
    expect(await claim(now + 86_400_000)).toBeUndefined();
  });

  test('that failed keeps why', async () => {
    await claim();
    await uploads.finish(tenantId, uploadId, { state: 'failed', problem });
    expect(await uploads.find(tenantId, uploadId)).toMatchObject({ state: 'failed', problem });
    expect(await claim(now + 86_400_000)).toBeUndefined();
  });

  test('is not finished by who never claimed it', async () => {
    expect(await uploads.finish(tenantId, uploadId, { state: 'failed', problem })).toBe(false);
    expect(await uploads.find(tenantId, uploadId)).toMatchObject({ state: 'waiting' });
  });

  (unitsAreExact ? test : test.skip)('costs a write for each step, and a read to look at', async () => {
    const another = { ...order, uploadId: `u-${'c'.repeat(26)}` };
    const steps = [
      await engine.units(() => uploads.create(tenantId, another)),
      await engine.units(() => claim()),
      await engine.units(() => uploads.finish(tenantId, uploadId, { state: 'failed', problem })),
    ];
    expect(steps).toEqual(Array.from({ length: 3 }, () => ({ read: 0, write: 1 })));
    expect(await engine.units(() => uploads.find(tenantId, uploadId))).toEqual({ read: 1, write: 0 });
    const lagging = () => uploads.find(tenantId, uploadId, { consistent: false });
    expect(await engine.units(lagging)).toEqual({ read: 0.5, write: 0 });
  });
});
