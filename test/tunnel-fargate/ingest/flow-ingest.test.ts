import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { ByteBudget } from '../../../tunnel-fargate/ingest/byte-budget.ts';
import { FlowIngest, type UploadReport } from '../../../tunnel-fargate/ingest/flow-ingest.ts';
import { RecentFlows } from '../../../tunnel-fargate/ingest/recent-flows.ts';
import { clusterA, clusterB, FakeLogs, recordingLogger, tenantA, tenantB, until } from '../tunnel-fixture.ts';
import { bucketOf, flowLine, rejectedObjects, storedLines, textOf } from './flows.ts';

const a = { tenantId: tenantA, clusterId: clusterA };
const b = { tenantId: tenantB, clusterId: clusterB };

async function* inOne(body: string | Buffer): AsyncGenerator<Buffer> {
  await turn();
  yield Buffer.from(body);
}

/** Chunks of 50 bytes that the test lets through; the end too. */
function byHand(body: string) {
  let allowed = 0;
  let asked = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; ; at += 50) {
      asked += 1;
      while (asked > allowed) await turn();
      if (at >= body.length) return;
      yield Buffer.from(body.slice(at, at + 50));
    }
  }
  return {
    upload: { chunks: chunks(), declaredBytes: body.length },
    /** Lets the first `bytes` through; resolves when they are dealt with. */
    async come(bytes: number): Promise<void> {
      allowed = Math.ceil(bytes / 50);
      await until(() => asked > allowed);
    },
    end: () => void (allowed = Infinity),
  };
}

describe('ingest', () => {
  let logs: FakeLogs;
  let budget: ByteBudget;
  let reports: UploadReport[];
  let now: number;
  let ingest: FlowIngest;
  const make = (changed: Partial<ConstructorParameters<typeof FlowIngest>[0]> = {}) =>
    new FlowIngest({
      logs,
      budget,
      logger: recordingLogger().logger,
      now: () => now,
      onUpload: (report) => reports.push(report),
      ...changed,
    });
  beforeEach(() => {
    logs = new FakeLogs();
    budget = new ByteBudget({ totalBytes: 4_000_000, clusterBytes: 3_000_000 });
    reports = [];
    now = Date.parse('2026-11-23T12:00:00Z');
    ingest = make();
  });
  const take = (body: string | Buffer, source = a) =>
    ingest.take({ chunks: inOne(body), declaredBytes: Buffer.byteLength(body) }, source);

  test('reports each upload with its outcome and what became of its lines', async () => {
    await take(`${bucketOf(600, ['a', 'b'])}\nx\ny`);
    await take(bucketOf(600, ['b', 'c', 'c']));
    await take(`${bucketOf(600, ['a', 'b'])}\nx\ny`);
    await take('');
    logs.failing = true;
    await expect(take(flowLine('d', 900))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    logs.failing = false;
    await expect(take(flowLine('e', 1_200))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const lines = ({ outcome, stored, repeated, rejected }: UploadReport) => [
      outcome,
      stored,
      repeated,
      rejected,
    ];
    expect(reports.map(lines)).toEqual([
      ['stored', 2, 0, { 'too-short': 2 }],
      ['stored', 1, 2, {}],
      ['repeated', 0, 2, {}],
      ['empty', 0, 0, {}],
      ['store-failed', 0, 0, {}],
      ['held', 0, 0, {}],
    ]);
    expect(reports[0]?.bytes).toBe(bucketOf(600, ['a', 'b']).length + 4);
  });

  test('keeps the flows of clusters apart, also where they are the same', async () => {
    await take(flowLine('a'), a);
    await take(flowLine('a'), b);
    expect(logs.objects.map(({ clusterId }) => clusterId)).toEqual([clusterA, clusterB]);
  });

  test('after a restart gives the same body the same name, so that S3 holds it once', async () => {
    await take(`${bucketOf(600, ['a', 'b'])}\nno flow`);
    ingest = make();
    await take(`${bucketOf(600, ['a', 'b'])}\nno flow`);
    const [rejects, flows, rejectsAgain, flowsAgain] = logs.objects;
    expect(flowsAgain).toEqual(flows);
    expect(rejectsAgain).toEqual(rejects);
  });

  test('that forgot a part of an upload stores it under a name of its own, never over the whole', async () => {
    ingest = make({ recent: new RecentFlows({ maxFlows: 100, maxFlowsPerCluster: 4 }) });
    const names = ['a', 'b', 'c'];
    await take(bucketOf(600, names));
    await take(bucketOf(600, ['d']));
    await take(bucketOf(600, [...names, 'd', 'e']));
    expect(new Set(logs.objects.map(({ sha256 }) => sha256)).size).toBe(3);
    expect(new Set(storedLines(logs.objects)).size).toBe(5);
  });

  test('sets rejected lines aside before it acknowledges, and sends nothing twice when that failed', async () => {
    const body = `${flowLine('a')}\nno flow`;
    logs.failing = true;
    await expect(take(body)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    logs.failing = false;
    await take(body);
    await take(body);
    expect(logs.objects.map(({ kind }) => kind)).toEqual(['flows-rejected', 'flows']);
  });

  test('rejects a line beyond the limit, and takes one of exactly the limit', async () => {
    ingest = make({ maxLineBytes: 200 });
    const longest = flowLine('a', 600, `,"l":"${'x'.repeat(200 - flowLine('a', 600, ',"l":""').length)}"`);
    expect(longest).toHaveLength(200);
    await take(`${longest}\n${longest} \n${flowLine('b', 600)}`);
    expect(storedLines(logs.objects)).toEqual([longest, flowLine('b', 600)]);
    const [rejected] = rejectedObjects(logs.objects);
    expect(rejected && textOf(rejected)).toContain('"reason":"too-long","bytes":201');
  });

  test('refuses what does not fit into memory only when all of it came, and then holds newer ones back', async () => {
    const older = bucketOf(600, ['a', 'b']);
    const others = budget.reserve(clusterB);
    others.take(3_000_000);
    const reservation = budget.reserve(clusterA);
    reservation.take(900_000);
    await expect(take(older)).rejects.toMatchObject({ code: 'UNAVAILABLE', headers: { 'Retry-After': '5' } });
    expect(reports[0]).toMatchObject({ outcome: 'no-memory', bytes: older.length });
    reservation.release();
    await expect(take(bucketOf(900, ['a']))).rejects.toMatchObject({ headers: { 'Retry-After': '30' } });
    await take(older);
    await take(bucketOf(900, ['a']));
    expect(logs.objects).toHaveLength(2);
    others.release();
  });

  test('lets an upload that grows out of its memory go, and keeps nothing of it', async () => {
    budget = new ByteBudget({ totalBytes: 600_000, clusterBytes: 600_000 });
    ingest = make();
    const names = Array.from({ length: 300 }, () => randomBytes(1_500).toString('base64'));
    const body = bucketOf(600, names);
    const sizes: number[] = [];
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let at = 0; at < body.length; at += 10_000) {
        yield Buffer.from(body.slice(at, at + 10_000));
        sizes.push(budget.inUse);
        await turn();
      }
    }
    await expect(ingest.take({ chunks: chunks() }, a)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(Math.max(...sizes)).toBeLessThanOrEqual(600_000);
    expect(budget.inUse).toBe(0);
    expect(logs.objects).toHaveLength(0);
  });

  test('of a body without an end ends at the limit with PAYLOAD_TOO_LARGE, which holds nothing back', async () => {
    ingest = make({ maxBodyBytes: 1_000 });
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        await turn();
        yield Buffer.from('x\n'.repeat(100));
      }
    }
    await expect(ingest.take({ chunks: endless() }, a)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    await take(flowLine('a'));
    expect(reports.map(({ outcome }) => outcome)).toEqual(['too-large', 'stored']);
  });

  test('ends an upload that trickles with TIMEOUT, gives its memory back and waits for it to come again', async () => {
    const body = bucketOf(600, ['a', 'b']);
    const slow = byHand(body);
    const answer = ingest.take(slow.upload, a);
    await slow.come(50);
    expect(budget.inUse).toBeGreaterThan(0);
    now += 300_001;
    slow.end();
    await expect(answer).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(budget.inUse).toBe(0);
    await expect(take(bucketOf(900, ['a']))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await take(body);
    await take(bucketOf(900, ['a']));
  });

  test('acknowledges no newer upload while an older one is still coming, and does when that is decided', async () => {
    const older = byHand(bucketOf(600, ['a', 'b', 'c']));
    const first = ingest.take(older.upload, a);
    // Its first flow is there: it is known to be older.
    await older.come(150);
    let answered = false;
    const second = take(bucketOf(900, ['d'])).then(() => (answered = true));
    await take(bucketOf(900, ['d']), b);
    expect(answered).toBe(false);
    older.end();
    await first;
    await second;
    expect(logs.objects.filter(({ clusterId }) => clusterId === clusterA).map(textOf)).toEqual([
      bucketOf(600, ['a', 'b', 'c']),
      bucketOf(900, ['d']),
    ]);
  });

  test('refuses an upload of which another stored some flows meanwhile, and stores the rest at the next attempt', async () => {
    const body = bucketOf(600, ['a', 'b', 'c']);
    const slow = byHand(body);
    const answer = ingest.take(slow.upload, a);
    await slow.come(body.length - 50);
    await take(flowLine('b', 600));
    slow.end();
    await expect(answer).rejects.toMatchObject({ code: 'UNAVAILABLE', headers: { 'Retry-After': '1' } });
    await take(body);
    expect(storedLines(logs.objects)).toEqual(['b', 'a', 'c'].map((name) => flowLine(name, 600)));
  });
});
