import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { auditKey } from '../../core/audit/audit-key.ts';
import { type AuditRecord, hashOf } from '../../core/audit/audit-record.ts';
import { auditCommand } from '../../scripts/audit-command.ts';
import { trailInDirectory } from '../../scripts/audit-source.ts';
import { type ChainReport, type TrailObject, verifyTrail } from '../../scripts/audit-verification.ts';
import { AuditTrail } from '../../tunnel-fargate/audit/audit-trail.ts';
import { FakeAuditSink, linesOf, tenantA, tenantB } from '../tunnel-fargate/audit/audit-fixture.ts';

type File = { key: string; body: Buffer };

/** Two days of one task, five records an object, ended in order. */
async function trail(tenantId = tenantA, taskId = 'task1'): Promise<File[]> {
  const sink = new FakeAuditSink();
  let now = Date.parse('2026-11-22T23:00:00Z');
  const writer = new AuditTrail({
    sink,
    taskId,
    now: () => now,
    logger: { info: () => undefined, error: () => undefined },
    batch: { records: 5 },
  });
  for (let nth = 0; nth < 24; nth += 1) {
    writer.admit(tenantId).end({ requestId: `r${nth}`, name: 'web', status: 200 });
    now += 5 * 60_000;
  }
  await writer.close(5_000);
  return sink.objects.map((object) => ({ key: auditKey(object), body: object.body }));
}

const objectsOf = (files: readonly File[]): TrailObject[] =>
  files.map(({ key, body }) => ({ key, read: () => Promise.resolve(body) }));
const changed = (file: File, change: (lines: string[]) => string[]): File => ({
  ...file,
  body: gzipSync(`${change(linesOf(file)).join('\n')}\n`),
});
const faultsOf = async (files: readonly File[]) =>
  (await verifyTrail(objectsOf(files))).flatMap(({ faults }) => faults.map(({ code }) => code));

describe('npm run audit -- verify', () => {
  const made: string[] = [];
  let whole: File[];
  beforeAll(async () => {
    whole = await trail();
  });
  afterEach(async () => {
    for (const directory of made.splice(0)) await rm(directory, { recursive: true });
  });

  async function run(line: string, files: readonly File[] = whole) {
    const directory = await mkdtemp(path.join(tmpdir(), 'cattery-audit-'));
    made.push(directory);
    for (const { key, body } of files) {
      await mkdir(path.dirname(path.join(directory, key)), { recursive: true });
      await writeFile(path.join(directory, key), body);
    }
    let [out, err] = ['', ''];
    const asked: unknown[] = [];
    const code = await auditCommand(line.replace('DIR', directory).split(' ').filter(Boolean), {
      inDirectory: trailInDirectory,
      inBucket: (from) => {
        asked.push(from);
        return Promise.resolve(objectsOf(files));
      },
      inLaptop: (data, filter) => {
        asked.push({ data, ...filter });
        return Promise.resolve(objectsOf(files));
      },
      out: (text) => (out += text),
      err: (text) => (err += text),
    });
    return { code, out, err, asked };
  }

  test('ends with 0 for a trail that is whole, and prints where each chain stands', async () => {
    const { code, out } = await run('verify DIR');
    expect(code).toBe(0);
    const last = JSON.parse(linesOf(whole.at(-1) ?? { body: Buffer.of() }).at(-1) ?? '') as AuditRecord;
    expect(out).toContain(`head ${last.hash}`);
    expect(out).toMatch(/28 records, seq 1 to 28, from its start[\s\S]*ended in order[\s\S]*\nintact\n$/);
  });

  test('proves one day alone, with its beginning and its end', async () => {
    for (const [date, end] of [
      ['2026-11-22', 'day-end'],
      ['2026-11-23', 'closed'],
    ]) {
      const { code, out } = await run(`verify DIR --date ${date} -o json`);
      const [report] = JSON.parse(out) as ChainReport[];
      expect([code, report?.days, report?.end]).toEqual([0, [date], end]);
    }
  });

  test('reads what aws s3 sync brings from below audit/, where no key names the tenant', async () => {
    const below = whole.map((file) => ({ ...file, key: file.key.split('/audit/')[1] ?? '' }));
    const { code, out } = await run(`verify DIR`, below);
    expect(code).toBe(0);
    expect(out).toContain(tenantA);
  });

  test('looks at one tenant only when told to', async () => {
    const files = [...whole, ...(await trail(tenantB, 'task2'))];
    expect((await run('verify DIR', files)).out).toContain(tenantB);
    expect((await run(`verify DIR --tenant ${tenantA}`, files)).out).not.toContain(tenantB);
  });

  test('asks a bucket for one tenant and day', async () => {
    const { code, asked } = await run(`verify --bucket logs --tenant ${tenantA} --date 2026-11-22`);
    expect(code).toBe(0);
    expect(asked).toEqual([{ bucket: 'logs', tenantId: tenantA, date: '2026-11-22' }]);
  });

  test('--local asks the laptop stack, for its demo tenant unless told whose', async () => {
    expect((await run('verify --local')).asked).toEqual([{ data: '.local' }]);
    const { code, asked } = await run(`verify --local --data /else --tenant ${tenantA} --date 2026-11-22`);
    expect([code, asked]).toEqual([0, [{ data: '/else', tenantId: tenantA, date: '2026-11-22' }]]);
  });

  test('says that a chain without an end is open, which is no fault', async () => {
    const { code, out } = await run('verify DIR', whole.slice(0, -1));
    expect(code).toBe(0);
    expect(out).toMatch(/OPEN: the task still runs, or it crashed, or what came last was taken away/);
    expect(out).toMatch(/intact; 1 without an end\n$/);
  });

  const at = (nth: number) => whole[nth] ?? whole[0] ?? { key: '', body: Buffer.of() };
  const others = (nth: number) => whole.filter((_, other) => other !== nth);
  const resealed = (line: string, change: object): string => {
    const record = { ...(JSON.parse(line) as AuditRecord), ...change };
    return JSON.stringify({ ...record, hash: hashOf(record) });
  };
  test.each<[string, string, () => File[]]>([
    [
      'a member altered',
      'ALTERED',
      () => [
        ...others(1),
        changed(at(1), (all) => all.map((line, n) => (n === 2 ? line.replace('"web"', '"wab"') : line))),
      ],
    ],
    [
      'a record altered and sealed again',
      'UNLINKED',
      () => [
        ...others(1),
        changed(at(1), (all) => all.map((line, n) => (n === 2 ? resealed(line, { name: 'wab' }) : line))),
      ],
    ],
    [
      'a record removed',
      'MISSING',
      () => [...others(1), changed(at(1), (all) => all.filter((_, n) => n !== 2))],
    ],
    [
      'a record repeated',
      'REPEATED',
      () => [...others(1), changed(at(1), (all) => [...all, ...all.slice(-1)])],
    ],
    [
      'two records in another order',
      'REPEATED',
      () => [...others(1), changed(at(1), (all) => [...all].reverse())],
    ],
    ['an object removed', 'MISSING', () => others(2)],
    ['the first object removed', 'MISSING', () => others(0)],
    [
      'the last records of an object cut off',
      'MISSING',
      () => [...others(1), changed(at(1), (all) => all.slice(0, -1))],
    ],
    [
      'an object cut short',
      'UNREADABLE',
      () => [...others(1), { ...at(1), body: at(1).body.subarray(0, -9) }],
    ],
    [
      'an object under another day',
      'MISPLACED',
      () => [...others(1), { ...at(1), key: at(1).key.replace('11-22', '11-23') }],
    ],
    [
      'an object of another task',
      'MISPLACED',
      () => whole.map((file) => ({ ...file, key: file.key.replace('task1', 'task2') })),
    ],
    [
      'an object of another tenant',
      'MISPLACED',
      () => whole.map((file) => ({ ...file, key: file.key.replace(tenantA, tenantB) })),
    ],
    [
      'a line that says the same twice',
      'UNREADABLE',
      () => [...others(1), changed(at(1), (all) => all.map((line) => line.replace('{', '{"v":1,')))],
    ],
  ])('finds %s: %s, and ends with 1', async (_what, code, files) => {
    expect(await faultsOf(files())).toContain(code);
    const { code: exit, out } = await run('verify DIR', files());
    expect(exit).toBe(1);
    expect(out).toMatch(/BROKEN: \d+ faults\n$/);
  });

  test('finds a day whose last object is gone', async () => {
    const first = whole.filter(({ key }) => key.includes('2026-11-22'));
    const { out } = await run('verify DIR --date 2026-11-22 -o json', first.slice(0, -1));
    expect((JSON.parse(out) as ChainReport[])[0]?.end).toBe('open');
    expect(await faultsOf(whole.filter((file) => file !== first.at(-1)))).toContain('MISSING');
  });

  test('finds any one character that is changed anywhere (seeded)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat(), async (object, line, char) => {
        const nth = object % whole.length;
        const file = changed(at(nth), (all) => {
          const which = line % all.length;
          return all.map((text, n) => {
            if (n !== which) return text;
            const where = char % text.length;
            const other = text[where] === '0' ? '1' : '0';
            return text.slice(0, where) + other + text.slice(where + 1);
          });
        });
        expect((await faultsOf([...others(nth), file])).length).toBeGreaterThan(0);
      }),
      { seed: 4, numRuns: 200 },
    );
  });

  test('ends with 3 when there is nothing, or no such directory', async () => {
    expect(await run('verify DIR', [])).toMatchObject({ code: 3, out: 'There is nothing to verify.\n' });
    const { code, err } = await run('verify DIR/nowhere');
    expect(code).toBe(3);
    expect(err).toMatch(/^error: There is no directory \S+nowhere\.\n$/);
  });

  test.each([
    'verify',
    'verify DIR --bucket x',
    'verify DIR --local',
    'verify --local --bucket x',
    'verify --bucket x',
    'verify DIR --date yesterday',
    'verify DIR --tenant x',
    'prove DIR',
  ])('ends with 2 at %j and says why', async (line) => {
    const { code, err } = await run(line);
    expect(code).toBe(2);
    expect(err).not.toBe('');
  });

  test('--help ends with 0 and tells the exit codes and what cannot be seen', async () => {
    const { code, out } = await run('verify --help');
    expect(code).toBe(0);
    expect(out).toMatch(/What it cannot see[\s\S]*Exit codes/);
  });
});
