import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ScanUploadIssued } from '../../../core/image/scan-upload-schema.ts';
import { followersOfTenant } from '../../../core/tenant/follower-repository.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { handlers } from '../../../functions/image-scan/routes.ts';
import { encodeResult, type UploadResult } from '../../../functions/image-scan/upload-outcome.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { caller, member } from '../api-call.ts';
import { engineDependencies } from './engine-dependencies.ts';
import { digestOf } from './reports.ts';

const minute = 60_000;
const asked = { contentLength: 5_000_000, sha256: 'ab'.repeat(32) };
const result: UploadResult = {
  scanId: 's-1',
  digest: digestOf('1'),
  verdict: 'pass',
  reasons: [],
  changesAt: [],
  counts: { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 },
  suppressed: { total: 0, excepted: 0, findings: [] },
  latest: true,
};

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

/** The function with a clock of its own, which waiting moves. */
function uploading(onWait: (turn: number) => Promise<unknown> = () => Promise.resolve()) {
  const clock = { now: Date.now(), turns: 0 };
  const deps = {
    ...engineDependencies(engine),
    now: () => clock.now,
    wait: async (ms: number) => {
      clock.now += ms;
      clock.turns += 1;
      await onWait(clock.turns);
    },
  };
  const call = caller('image-scan', handlers(deps));
  const tenantId = newTenantId();
  const ask = (body: object, as = member(tenantId)) =>
    call({ method: 'POST', path: '/v1/scan-uploads', body: JSON.stringify(body), caller: as });
  const look = (uploadId: string, wait?: string, as = member(tenantId)) =>
    call({
      path: `/v1/scan-uploads/${uploadId}`,
      resource: '/v1/scan-uploads/{uploadId}',
      params: { uploadId },
      query: wait === undefined ? {} : { wait },
      caller: as,
    });
  const issue = async () => {
    const answer = await ask(asked);
    expect(answer.status).toBe(201);
    return answer.json() as ScanUploadIssued;
  };
  const claim = (uploadId: string) =>
    deps.uploads.claim(tenantId, uploadId, { now: clock.now, leaseUntil: clock.now + 40_000 });
  const done = () =>
    deps.uploads.finish(tenantId, uploadIdOf.last, { state: 'done', result: encodeResult(result) });
  const uploadIdOf = { last: '' };
  return { deps, clock, tenantId, ask, look, issue, claim, done, uploadIdOf };
}

describe('asking for an upload', () => {
  test('is answered with a URL, what to send with it, when it ends, and where to look', async () => {
    const { ask, look, clock } = uploading();
    const answer = await ask({ ...asked, image: 'registry.example/shop/web:1', digest: digestOf('1') });
    const { uploadId, url, ...rest } = answer.json() as ScanUploadIssued;
    expect({ status: answer.status, ...rest }).toEqual({
      status: 201,
      method: 'PUT',
      headers: {
        'Content-Length': '5000000',
        'Content-Type': 'application/json',
        'x-amz-checksum-sha256': Buffer.from(asked.sha256, 'hex').toString('base64'),
      },
      expiresAt: new Date(clock.now + 15 * minute).toISOString(),
    });
    expect(uploadId).toMatch(/^u-[a-z2-7]{26}$/);
    expect([answer.headers.Location, new URL(url).pathname.endsWith(`/${uploadId}`)]).toEqual([
      `scan-uploads/${uploadId}`,
      true,
    ]);
    expect((await look(uploadId)).json()).toEqual({
      uploadId,
      state: 'waiting',
      createdAt: new Date(clock.now).toISOString(),
    });
  });

  test.each([
    ['without a length', { contentLength: undefined }],
    ['of nothing', { contentLength: 0 }],
    ['of more than 64 MiB', { contentLength: 64 * 1024 * 1024 + 1 }],
    ['of half a byte', { contentLength: 1.5 }],
    ['without a checksum', { sha256: undefined }],
    ['with a checksum in base64', { sha256: Buffer.alloc(32).toString('base64') }],
    ['with a member that it does not know', { tenantId: newTenantId() }],
    ['with a digest that is none', { digest: 'latest' }],
  ])('%s is refused with INVALID_REQUEST', async (_what, members) => {
    const { ask } = uploading();
    const { status, json } = await ask({ ...asked, ...members });
    expect([status, json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('needs scans:write or, for statements, image-policy:write, and so does looking', async () => {
    const { ask, look, tenantId } = uploading();
    const viewer = member(tenantId, 'viewer');
    for (const { status, json } of [await ask(asked, viewer), await look(`u-${'a'.repeat(26)}`, '0', viewer)])
      expect([status, json().code]).toEqual([403, 'ACCESS_DENIED']);
  });

  test('that cannot be noted gives no URL: UNAVAILABLE', async () => {
    const { ask } = uploading();
    engine.faults.failWhen((operation) => operation === 'PutItem');
    try {
      const { status, text } = await ask(asked);
      expect([status, text.includes('uploads/tenant')]).toEqual([503, false]);
    } finally {
      engine.faults.mend();
    }
  });

  (unitsAreExact ? test : test.skip)('costs one write', async () => {
    const { ask } = uploading();
    expect(await engine.units(() => ask(asked))).toEqual({ read: 0, write: 1 });
  });
});

describe('looking at an upload', () => {
  test.each([
    ['that nobody asked for', `u-${'a'.repeat(26)}`],
    ['with an ID that is none', 'u-1'],
    ['by the name of another item', 'FOLLOWERS'],
  ])('%s is 404', async (_what, uploadId) => {
    const { status, json } = await uploading().look(uploadId);
    expect([status, json().code]).toEqual([404, 'NOT_FOUND']);
  });

  test('of another tenant is the same 404', async () => {
    const [ours, theirs] = [uploading(), uploading()];
    const { uploadId } = await theirs.issue();
    const { status, json } = await ours.look(uploadId, '20');
    expect([status, json().code, ours.clock.turns]).toEqual([404, 'NOT_FOUND', 0]);
  });

  test.each([['21'], ['-1'], ['0.5'], ['soon']])(
    'with wait=%s is refused with INVALID_REQUEST',
    async (wait) => {
      const { look, issue } = uploading();
      const { status } = await look((await issue()).uploadId, wait);
      expect(status).toBe(400);
    },
  );

  test('shows the result of one that is done, and the problem of one that failed', async () => {
    const { look, issue, claim, done, uploadIdOf, deps, tenantId } = uploading();
    const { uploadId } = await issue();
    uploadIdOf.last = uploadId;
    await claim(uploadId);
    await done();
    expect((await look(uploadId)).json()).toMatchObject({ state: 'done', result });
    const other = (await issue()).uploadId;
    await claim(other);
    const problem = { code: 'REPORT_MALFORMED', title: 'The scan report cannot be read' } as const;
    await deps.uploads.finish(tenantId, other, { state: 'failed', problem });
    expect((await look(other)).json()).toMatchObject({ state: 'failed', problem });
  });

  test('waits for the outcome, no longer than it has to', async () => {
    const waiting = uploading(async (turn) => {
      if (turn === 2) await waiting.claim(waiting.uploadIdOf.last);
      if (turn === 3) await waiting.done();
    });
    const { uploadId } = await waiting.issue();
    waiting.uploadIdOf.last = uploadId;
    const answer = await waiting.look(uploadId, '20');
    expect([answer.json().state, waiting.clock.turns]).toEqual(['done', 3]);
  });

  test('waits as long as it is told when there is none', async () => {
    const { look, issue, clock } = uploading();
    const { uploadId } = await issue();
    const before = clock.now;
    expect((await look(uploadId, '7')).json()).toMatchObject({ state: 'waiting' });
    expect(clock.now - before).toBe(7_000);
  });

  test('is answered at once when five of the tenant wait already, and gives its place back', async () => {
    const { look, issue, clock, deps, tenantId } = uploading();
    const { uploadId } = await issue();
    for (let turn = 0; turn < 2; turn += 1) await look(uploadId, '1');
    expect(clock.turns).toBe(2);
    const place = { until: clock.now + 25_000, now: clock.now };
    for (let index = 0; index < followersOfTenant; index += 1)
      expect(await deps.uploadFollowers.enter(tenantId, `other-${index}`, place)).toBe(true);
    expect((await look(uploadId, '20')).json()).toMatchObject({ state: 'waiting' });
    expect(clock.turns).toBe(2);
  });

  test('tells that nothing came, half an hour after it was asked for', async () => {
    const { look, issue, clock } = uploading();
    const { uploadId } = await issue();
    clock.now += 30 * minute;
    expect((await look(uploadId)).json()).toMatchObject({ state: 'waiting' });
    clock.now += 1;
    const late = (await look(uploadId, '20')).json();
    expect(late).toMatchObject({ state: 'failed', problem: { code: 'REQUEST_TIMEOUT' } });
    expect(clock.turns).toBe(0);
  });

  test('tells that nobody takes it any more, ten minutes after an attempt died, and at once after the third', async () => {
    const { look, issue, clock, claim } = uploading();
    const { uploadId } = await issue();
    await claim(uploadId);
    clock.now += 40_000 + 10 * minute;
    expect((await look(uploadId)).json()).toMatchObject({ state: 'processing' });
    clock.now += 1;
    expect((await look(uploadId)).json()).toMatchObject({
      state: 'failed',
      problem: { code: 'UNAVAILABLE' },
    });
    for (let attempt = 2; attempt <= 3; attempt += 1) {
      expect(await claim(uploadId)).toMatchObject({ attempts: attempt });
      expect((await look(uploadId)).json()).toMatchObject({ state: 'processing' });
      clock.now += 40_001;
    }
    expect((await look(uploadId)).json()).toMatchObject({
      state: 'failed',
      problem: { code: 'UNAVAILABLE' },
    });
  });

  (unitsAreExact ? test : test.skip)('costs one read, and 20 s of waiting 13 and 2 writes', async () => {
    const { look, issue } = uploading();
    const { uploadId } = await issue();
    expect(await engine.units(() => look(uploadId))).toEqual({ read: 1, write: 0 });
    // Half a read each second; one to begin with, one to enter, one to leave.
    expect(await engine.units(() => look(uploadId, '20'))).toEqual({ read: 13, write: 2 });
  });
});
