import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { auditKey } from '../../../core/audit/audit-key.ts';
import { verifyTrail } from '../../../scripts/audit-verification.ts';
import type { AuditObject } from '../../../tunnel-fargate/audit/audit-repository.ts';
import { type AuditOptions, AuditTrail, reservedBytes } from '../../../tunnel-fargate/audit/audit-trail.ts';
import { FakeAuditSink, linesOf, recordsOf, tenantA, tenantB, trailOf, until } from './audit-fixture.ts';

const verified = (objects: readonly AuditObject[]) => verifyTrail(trailOf(objects));

const day = (text: string) => Date.parse(`${text}Z`);

describe('the audit trail', () => {
  const open: AuditTrail[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((trail) => trail.close(0)));
  });

  function start(options: Partial<AuditOptions> & { fault?: FakeAuditSink['fault'] } = {}) {
    const sink = new FakeAuditSink();
    const logged: Record<string, unknown>[] = [];
    const log = (line: unknown) => void logged.push(line as Record<string, unknown>);
    const clock = { now: day('2026-11-23T08:00:00') };
    const { fault, timing, ...rest } = options;
    if (fault) sink.fault = fault;
    const trail = new AuditTrail({
      sink,
      taskId: 'task-1',
      now: () => clock.now,
      logger: { info: log, error: log },
      timing: { batchMs: 5, retryMs: 5, maxRetryMs: 10, ...timing },
      ...rest,
    });
    open.push(trail);
    const request = (tenantId = tenantA, requestId = 'r') => {
      const entry = trail.admit(tenantId);
      entry.end({ requestId, status: 200 });
    };
    return { trail, attempts: sink.attempts, stored: sink.objects, logged, clock, request };
  }

  test('puts a tenant’s records together, each linked to the one before, and ends with its marker', async () => {
    const { trail, stored, request } = start();
    for (const id of ['a', 'b', 'c']) request(tenantA, id);
    await until(() => stored.length === 1);
    request(tenantA, 'd');
    await trail.close(1_000);
    expect(recordsOf(stored).map(({ seq, phase, requestId }) => [seq, phase, requestId])).toEqual([
      [1, 'day-start', undefined],
      [2, 'request', 'a'],
      [3, 'request', 'b'],
      [4, 'request', 'c'],
      [5, 'request', 'd'],
      [6, 'closed', undefined],
    ]);
    expect(await verified(stored)).toMatchObject([
      { records: 6, fromStart: true, end: 'closed', faults: [] },
    ]);
  });

  test('keeps a chain per tenant, and no tenant’s records in another’s objects', async () => {
    const { trail, stored, request } = start();
    for (let nth = 0; nth < 10; nth += 1) request(nth % 2 === 0 ? tenantA : tenantB);
    await trail.close(1_000);
    for (const object of stored) {
      for (const { tenantId } of recordsOf([object])) expect(tenantId).toBe(object.tenantId);
    }
    expect((await verified(stored)).map(({ records, faults }) => [records, faults])).toEqual([
      [7, []],
      [7, []],
    ]);
  });

  test('cuts objects at a number of records, so that none grows without end', async () => {
    const { trail, stored, request } = start({ batch: { records: 10 }, timing: { batchMs: 60_000 } });
    for (let nth = 0; nth < 95; nth += 1) request();
    await trail.close(1_000);
    expect(Math.max(...stored.map((object) => linesOf(object).length))).toBe(10);
    expect(await verified(stored)).toMatchObject([{ records: 97, faults: [] }]);
  });

  test('records a long request at its start and at its end, and a second end changes nothing', async () => {
    const { trail, stored } = start();
    const entry = trail.admit(tenantA);
    entry.open({ requestId: 'watch' });
    entry.open({ requestId: 'watch' });
    entry.end({ requestId: 'watch', outcome: 'revoked' });
    entry.end({ requestId: 'watch', outcome: 'complete' });
    await trail.close(1_000);
    expect(recordsOf(stored).map(({ phase, outcome }) => [phase, outcome])).toEqual([
      ['day-start', undefined],
      ['open', undefined],
      ['end', 'revoked'],
      ['closed', undefined],
    ]);
  });

  test('makes each day complete by itself: what goes on at midnight ends one and begins the next', async () => {
    const { trail, stored, clock, request, logged } = start();
    clock.now = day('2026-11-23T23:59:59.990');
    request();
    clock.now = day('2026-11-24T00:00:00.001');
    request();
    await trail.close(1_000);
    const days = ['2026-11-23', '2026-11-24'].map((date) => stored.filter((object) => object.date === date));
    expect(await verified(days[0] ?? [])).toMatchObject([{ end: 'day-end', fromStart: true, faults: [] }]);
    expect(await verified(days[1] ?? [])).toMatchObject([{ end: 'closed', fromStart: false, faults: [] }]);
    expect(await verified(stored)).toMatchObject([{ records: 6, faults: [] }]);
    // The heads are told to the log too, which is not in the bucket.
    const heads = recordsOf(stored).filter(({ phase }) => phase === 'day-end' || phase === 'closed');
    expect(logged.filter(({ event }) => event === 'audit head').map(({ hash }) => hash)).toEqual(
      heads.map(({ hash }) => hash),
    );
  });

  test('ends the day of a tenant that asks no more', async () => {
    const { stored, clock, request } = start({ timing: { dayTurnMs: 5, batchMs: 5 } });
    request();
    clock.now = day('2026-11-25T10:00:00');
    await until(() => recordsOf(stored).some(({ phase }) => phase === 'day-end'));
    expect(await verified(stored)).toMatchObject([{ days: ['2026-11-23'], end: 'day-end', faults: [] }]);
  });

  test('lets time never go back, though the clock does, past midnight even', async () => {
    const { trail, stored, clock, request } = start();
    clock.now = day('2026-11-24T00:00:00.500');
    request();
    clock.now = day('2026-11-23T23:59:59.000');
    request();
    await trail.close(1_000);
    expect(new Set(stored.map(({ date }) => date))).toEqual(new Set(['2026-11-24']));
    expect(await verified(stored)).toMatchObject([{ faults: [] }]);
  });

  test('begins no day again that has ended, though the clock is set back into it', async () => {
    const { trail, stored, clock, request } = start({ timing: { dayTurnMs: 5, batchMs: 5 } });
    request();
    clock.now = day('2026-11-24T00:00:00.200');
    await until(() => recordsOf(stored).some(({ phase }) => phase === 'day-end'));
    clock.now = day('2026-11-23T23:59:58.000');
    request();
    await trail.close(1_000);
    expect(await verified(stored)).toMatchObject([
      { days: ['2026-11-23', '2026-11-24'], end: 'closed', faults: [] },
    ]);
  });

  test('tries again with the same name and bytes until S3 has it, and puts no two of a tenant at once', async () => {
    const faults: ('refused' | 'lost')[] = ['refused', 'lost', 'refused', 'lost'];
    const { trail, attempts, stored, request } = start({ fault: () => faults.shift() });
    request(tenantA, 'first');
    await until(() => attempts.length >= 2);
    request(tenantA, 'second');
    await trail.close(2_000);
    expect(attempts.length).toBeGreaterThan(stored.length);
    for (const attempt of attempts) {
      const kept = stored.find((object) => auditKey(object) === auditKey(attempt));
      expect(kept?.body.equals(attempt.body)).toBe(true);
    }
    expect(await verified(stored)).toMatchObject([{ records: 4, end: 'closed', faults: [] }]);
  });

  test('refuses changes of the tenant whose records S3 does not take, nobody else’s, until it does: AUDIT_UNAVAILABLE', async () => {
    let down = true;
    const { trail, stored, request, logged } = start({ fault: () => (down ? 'refused' : undefined) });
    trail.assertTakesChanges(tenantA);
    request();
    await until(() => trail.failingTenants === 1);
    expect(() => trail.assertTakesChanges(tenantA)).toThrow(
      expect.objectContaining({ code: 'AUDIT_UNAVAILABLE', status: 503, headers: { 'Retry-After': '5' } }),
    );
    trail.assertTakesChanges(tenantB);
    // Reading goes on and is recorded later.
    request(tenantA, 'read');
    down = false;
    await until(() => trail.failingTenants === 0);
    trail.assertTakesChanges(tenantA);
    await until(() => recordsOf(stored).some(({ requestId }) => requestId === 'read'));
    const events = logged.map(({ event }) => event).filter((event) => event !== 'audit head');
    expect(events).toEqual(['audit failing', 'audit recovered']);
  });

  test('refuses everything of a tenant when its memory is full, loses no record, and says how many were refused', async () => {
    let down = true;
    const { trail, stored, request } = start({
      fault: () => (down ? 'refused' : undefined),
      memory: { tenantBytes: 20_000 },
    });
    let admitted = 0;
    let refused = 0;
    for (let nth = 0; nth < 200; nth += 1) {
      try {
        request(tenantA, `r${nth}`);
        admitted += 1;
      } catch (error) {
        expect(error).toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
        refused += 1;
      }
    }
    expect(admitted).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(20);
    expect(trail.bytes).toBeLessThanOrEqual(20_000);
    request(tenantB);
    down = false;
    await trail.close(2_000);
    const records = recordsOf(stored.filter(({ tenantId }) => tenantId === tenantA));
    expect(records.filter(({ phase }) => phase === 'request')).toHaveLength(admitted);
    const told = records.filter(({ phase }) => phase === 'refusals');
    expect(told.reduce((sum, { count = 0 }) => sum + count, 0)).toBe(refused);
    expect(told[0]).toMatchObject({ decision: 'refused', code: 'AUDIT_UNAVAILABLE' });
    for (const { faults } of await verified(stored)) expect(faults).toEqual([]);
  });

  test('holds room for requests that run, so that their ends are recorded whatever comes', async () => {
    const { trail } = start({ memory: { tenantBytes: 3 * reservedBytes, totalBytes: 4 * reservedBytes } });
    const entries = [tenantA, tenantA, tenantA].map((tenantId) => trail.admit(tenantId));
    expect(() => trail.admit(tenantA)).toThrow(expect.objectContaining({ code: 'AUDIT_UNAVAILABLE' }));
    trail.admit(tenantB);
    // All tenants together.
    expect(() => trail.admit(tenantB)).toThrow(expect.objectContaining({ code: 'AUDIT_UNAVAILABLE' }));
    entries[0]?.end({});
    // As soon as S3 has its record.
    await until(() => trail.bytes === 3 * reservedBytes);
    expect(trail.admit(tenantA)).toBeDefined();
  });

  test('cuts texts of any length', async () => {
    const { trail, stored } = start();
    const long = '\ud83d\ude00'.repeat(4_000);
    trail.admit(tenantA).end({ name: long, namespace: long, path: long, resource: 'pods' });
    await trail.close(1_000);
    const record = recordsOf(stored).find(({ phase }) => phase === 'request');
    expect(record).toMatchObject({ clipped: true, resource: 'pods' });
    expect(Buffer.byteLength(JSON.stringify(record))).toBeLessThan(4_096);
    expect(await verified(stored)).toMatchObject([{ faults: [] }]);
  });

  test('is whole whatever S3 does in between: every record once, in order (seeded)', async () => {
    const fault = fc.constantFrom('refused' as const, 'lost' as const, undefined);
    const step = fc.record({
      requests: fc.nat(12),
      hours: fc.constantFrom(0, 0, 0, 9),
      settle: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 8 }),
        fc.array(fault, { maxLength: 30 }),
        async (steps, faults) => {
          const { trail, stored, clock, request } = start({
            fault: () => faults.shift(),
            batch: { records: 7 },
            timing: { batchMs: 1, retryMs: 1, maxRetryMs: 2 },
          });
          const ids: string[] = [];
          for (const { requests, hours, settle } of steps) {
            clock.now += hours * 3_600_000;
            for (let nth = 0; nth < requests; nth += 1) {
              const id = `r${ids.length}`;
              ids.push(id);
              request(tenantA, id);
            }
            if (settle) await new Promise((resolve) => setImmediate(resolve));
          }
          await trail.close(5_000);
          const records = recordsOf(stored).sort((a, b) => a.seq - b.seq);
          expect(records.flatMap(({ requestId }) => requestId ?? [])).toEqual(ids);
          for (const report of await verified(stored))
            expect(report).toMatchObject({ end: 'closed', faults: [] });
        },
      ),
      { seed: 21, numRuns: 60 },
    );
  });

  test('says what is lost when S3 takes nothing until the end', async () => {
    const { trail, logged, request } = start({ fault: () => 'refused' });
    request();
    await trail.close(40);
    expect(logged.at(-1)).toMatchObject({ event: 'audit lost', tenantId: tenantA, records: 3 });
  });

  test('waits at its end for the requests that run, and lets no more in', async () => {
    const { trail, stored } = start();
    const entry = trail.admit(tenantA);
    const closed = trail.close(5_000);
    expect(() => trail.admit(tenantA)).toThrow(expect.objectContaining({ code: 'AUDIT_UNAVAILABLE' }));
    entry.end({ requestId: 'last' });
    await closed;
    expect(recordsOf(stored).map(({ phase }) => phase)).toEqual(['day-start', 'request', 'closed']);
  });
});
