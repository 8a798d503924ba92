import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ByteBudget } from '../../../tunnel-fargate/ingest/byte-budget.ts';
import { FlowIngest } from '../../../tunnel-fargate/ingest/flow-ingest.ts';
import { type LogObject, logKey } from '../../../tunnel-fargate/ingest/log-repository.ts';
import { clusterA, recordingLogger, tenantA } from '../tunnel-fixture.ts';
import { bucketOf, storedLines } from './flows.ts';
import { type Bucket, type BucketFate, emit } from './goldmane.ts';

const source = { tenantId: tenantA, clusterId: clusterA };

/** What happens to one POST. */
const faults = ['none', 's3-fails', 's3-stores-and-fails', 'cut', 'no-memory', 'answer-lost'] as const;
type Fault = { readonly kind: (typeof faults)[number]; readonly at: number; readonly tookMs: number };

const fault = fc.record({
  kind: fc.constantFrom(...faults),
  /** Where it is cut, of its length. */
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  tookMs: fc.integer({ min: 1, max: 5_000 }),
});

type Schedule = {
  buckets: readonly Bucket[];
  faults: readonly Fault[];
  /** Of the bucket that S3 never takes. */
  doomed: number | null;
};

const start = 1_763_892_000;
const schedule: fc.Arbitrary<Schedule> = fc.record({
  buckets: fc
    .record({ count: fc.integer({ min: 2, max: 7 }), everyMs: fc.constantFrom(0, 20_000, 300_000) })
    .map(({ count, everyMs }) =>
      Array.from({ length: count }, (_, at) => ({ end: start + at * 300, dueAt: at * everyMs })),
    ),
  faults: fc.array(fault, { maxLength: 60 }),
  doomed: fc.option(fc.nat(6)),
});

const namesOf = ({ end }: Bucket): string[] => {
  const number = (end - start) / 300;
  return ['a', 'b', 'c'.repeat(number + 1)];
};
const bodyOf = (bucket: Bucket): Buffer => Buffer.from(bucketOf(bucket.end, namesOf(bucket)));

/** A cluster's whole story against one ingest; faults are used up POST by POST, after the last all is well. */
async function play({ buckets, faults: planned, doomed }: Schedule) {
  const clock = { now: 0 };
  const objects = new Map<string, LogObject>();
  const budget = new ByteBudget({ totalBytes: 10_000_000, clusterBytes: 10_000_000 });
  let current: Fault = { kind: 'none', at: 0, tookMs: 10 };
  const ingest = new FlowIngest({
    logs: {
      put: (object) => {
        if (current.kind !== 's3-fails') objects.set(logKey(object), object);
        return current.kind.startsWith('s3') ? Promise.reject(new Error('S3 fails')) : Promise.resolve();
      },
    },
    budget,
    logger: recordingLogger().logger,
    now: () => start * 1_000 + clock.now,
  });
  const left = [...planned];
  const attempts = new Map<Bucket, number>();
  const fates = await emit(buckets, clock, async (bucket, attempt) => {
    attempts.set(bucket, attempt);
    current = left.shift() ?? { kind: 'none', at: 0, tookMs: 10 };
    if (bucket === buckets[doomed ?? -1]) current = { ...current, kind: 's3-fails' };
    const body = bodyOf(bucket);
    const others = budget.reserve('others');
    if (current.kind === 'no-memory') others.take(10_000_000);
    const cutAt = current.kind === 'cut' ? Math.floor(body.length * current.at) : undefined;
    const ok = await ingest.take({ chunks: coming(body, cutAt), declaredBytes: body.length }, source).then(
      () => true,
      () => false,
    );
    others.release();
    return { ok: ok && current.kind !== 'answer-lost', tookMs: current.tookMs };
  });
  return { fates, attempts, lines: storedLines([...objects.values()]), budget, clock };
}

async function* coming(body: Buffer, cutAt: number | undefined): AsyncGenerator<Buffer> {
  await Promise.resolve();
  for (let from = 0; from < (cutAt ?? body.length); from += 100) {
    yield body.subarray(from, Math.min(from + 100, cutAt ?? body.length));
  }
  if (cutAt !== undefined) throw new Error('the sender went away');
}

const linesOf = (bucket: Bucket) => bodyOf(bucket).toString().split('\n');

describe('the loss trap', () => {
  test('takes no bucket whose retries had not run out, whatever fails, and no flow is stored twice', async () => {
    const seen = new Set<BucketFate>();
    await fc.assert(
      fc.asyncProperty(schedule, async (story) => {
        const { fates, attempts, lines, budget } = await play(story);
        expect(new Set(lines).size).toBe(lines.length);
        for (const bucket of story.buckets) {
          const fate = fates.get(bucket);
          if (fate) seen.add(fate);
          if (fate === 'dropped') expect(attempts.get(bucket)).toBe(16);
          else expect(lines).toEqual(expect.arrayContaining(linesOf(bucket)));
        }
        expect(budget.inUse).toBe(0);
      }),
      { seed: 41, numRuns: 150 },
    );
    // All of it was met: buckets skipped because they were stored although their answer was lost, and lost ones.
    expect([...seen].sort()).toEqual(['delivered', 'dropped', 'skipped']);
  });

  test('costs one bucket when S3 fails it to its last retry, and no other', async () => {
    const buckets = [0, 300, 600].map((at) => ({ end: start + at, dueAt: at }));
    const [first, second, third] = buckets;
    if (!first || !second || !third) throw new Error('three buckets');
    const clock = { now: 0 };
    const objects: LogObject[] = [];
    let failing = true;
    const ingest = new FlowIngest({
      logs: {
        put: (object) => {
          if (failing) return Promise.reject(new Error('S3 fails'));
          objects.push(object);
          return Promise.resolve();
        },
      },
      budget: new ByteBudget({ totalBytes: 10_000_000, clusterBytes: 10_000_000 }),
      logger: recordingLogger().logger,
      now: () => start * 1_000 + clock.now,
    });
    const fates = await emit(buckets, clock, async (bucket) => {
      failing = bucket === first;
      const body = bodyOf(bucket);
      const upload = { chunks: coming(body, undefined), declaredBytes: body.length };
      const ok = await ingest.take(upload, source).then(
        () => true,
        () => false,
      );
      return { ok, tookMs: 10 };
    });
    expect([first, second, third].map((bucket) => fates.get(bucket))).toEqual([
      'dropped',
      'delivered',
      'delivered',
    ]);
    expect(storedLines(objects)).toEqual([...linesOf(second), ...linesOf(third)]);
  });
});
