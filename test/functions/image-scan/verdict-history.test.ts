import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { VerdictChangeView } from '../../../core/image/verdict-change-schema.ts';
import { encodeCursor } from '../../../core/api/cursor.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { member } from '../api-call.ts';
import { digestOf, scored, trivyReport } from './reports.ts';
import { allPages, changesOf, day, digest, grypeReport, now, scanSetting } from './scan-setting.ts';

const on = (ms: number) => new Date(ms).toISOString();

describe('the history of verdicts', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());
  const scanned = (score: number, ms: number) => trivyReport([scored('CVE-1', score)], { CreatedAt: on(ms) });

  test('has each change by a scan, the latest first, and nothing where a scan changes none', async () => {
    const { post, history, clock } = scanSetting(engine);
    for (const [index, score] of [5, 6, 9.5, 1].entries()) {
      clock.now = now + index * day;
      await post(scanned(score, clock.now));
    }
    const scanner = 'trivy 0.72.0';
    expect(changesOf(await history())).toEqual([
      { at: on(now + 3 * day), from: 'fail', to: 'pass', cause: 'scan', scanner },
      { at: on(now + 2 * day), from: 'warn', to: 'fail', cause: 'scan', scanner },
      { at: on(now), to: 'warn', cause: 'scan', scanner },
    ]);
  });

  test('tells a change of the rules from what the scan that sees it has changed', async () => {
    const { post, history, setPolicy, clock } = scanSetting(engine);
    await post(scanned(5, now));
    await setPolicy({ warnAt: 1, failAt: 4 });
    clock.now += day;
    await post(grypeReport([2], on(clock.now)));
    await setPolicy({ warnAt: 6, failAt: 9 });
    clock.now += day;
    await post(scanned(9.5, clock.now));
    const [grype, trivy] = ['grype 0.96.0', 'trivy 0.72.0'];
    expect(changesOf(await history())).toEqual([
      { at: on(now + 2 * day), from: 'pass', to: 'fail', cause: 'scan', scanner: trivy },
      { at: on(now + 2 * day - 1), from: 'fail', to: 'pass', cause: 'policy', scanner: trivy },
      { at: on(now + day - 1), from: 'warn', to: 'fail', cause: 'policy', scanner: grype },
      { at: on(now), to: 'warn', cause: 'scan', scanner: trivy },
    ]);
  });

  test('has what time has done at the moment at which it did, though nobody looked', async () => {
    const { post, history, setPolicy, addException, clock } = scanSetting(engine);
    await setPolicy({ warnAt: 4, failAt: 9, maxScanAgeDays: 10 });
    const expiresAt = on(now + 3 * day);
    await addException({ vulnerability: 'CVE-1', scope: 'any', justification: 'x', expiresAt });
    await post(scanned(5, now));
    clock.now += 20 * day;
    await post(scanned(5, clock.now));
    const scanner = 'trivy 0.72.0';
    expect(changesOf(await history())).toEqual([
      { at: on(now + 20 * day), from: 'fail', to: 'warn', cause: 'scan', scanner },
      { at: on(now + 10 * day), from: 'warn', to: 'fail', cause: 'time', scanner },
      { at: expiresAt.replace('Z', 'Z'), from: 'pass', to: 'warn', cause: 'time', scanner },
      { at: on(now), to: 'pass', cause: 'scan', scanner },
    ]);
  });

  test('is the same when two uploads have clocks that differ: its times only grow', async () => {
    const { post, history, clock } = scanSetting(engine);
    await post(scanned(5, now - 2 * day));
    clock.now -= 60_000;
    await post(scanned(9.5, now - day));
    const [last, first] = changesOf(await history());
    expect([first, last]).toMatchObject([{ to: 'warn' }, { from: 'warn', to: 'fail', at: on(now + 1) }]);
  });

  test('comes page after page, once each', async () => {
    const { post, history, clock } = scanSetting(engine);
    for (let index = 0; index < 5; index += 1) {
      clock.now = now + index * day;
      await post(scanned(index % 2 === 0 ? 5 : 9.5, clock.now));
    }
    const seen = await allPages<VerdictChangeView>(history, { limit: '2' });
    expect(seen.map(({ at }) => at)).toEqual([4, 3, 2, 1, 0].map((index) => on(now + index * day)));
  });

  test('is of the tenant’s own images: 404 NOT_FOUND for others, and no cursor of another’s', async () => {
    const { post, history, call, tenantId } = scanSetting(engine);
    await post(scanned(5, now));
    await post(scanned(9.5, now + 1));
    const { nextCursor: cursor } = (await history({ limit: '1' })).json() as { nextCursor: string };
    const other = scanSetting(engine);
    expect((await other.history()).json().code).toBe('NOT_FOUND');
    await other.post(scanned(5, now));
    expect((await other.history({ cursor })).json().code).toBe('INVALID_CURSOR');
    expect((await history({ cursor }, digestOf('f'))).json().code).toBe('INVALID_CURSOR');
    for (const madeUp of ['x', 'x'.repeat(1_000)]) {
      const of = encodeCursor(tenantId, `history ${digest}`, madeUp);
      expect((await history({ cursor: of })).json().code).toBe('INVALID_CURSOR');
    }
    expect((await history({}, digestOf('f'))).json().code).toBe('NOT_FOUND');
    const asked = { path: '/', resource: '/v1/images/{digest}/history', params: { digest } };
    expect((await call({ ...asked, caller: member(newTenantId()) })).json().code).toBe('NOT_FOUND');
    expect((await call({ ...asked, caller: member(tenantId, 'member') })).json().code).toBe('ACCESS_DENIED');
    engine.faults.failWhen((operation) => operation === 'Query');
    expect((await history()).json().code).toBe('UNAVAILABLE');
  });
});
