import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ExceptionImport } from '../../../core/image/exception-list-schema.ts';
import { ruleLimits } from '../../../core/image/rules-document.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { type Answered } from '../api-call.ts';
import { inDays, ruleSetting } from './rule-setting.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const header = 'vulnerability,package,image,repository,justification,expires';
const csv = (...rows: readonly string[]) => [header, ...rows, ''].join('\r\n');
const good = [
  'CVE-2019-14697,pkg:apk/alpine/musl,,registry.example/shop/**,"not reachable, says the team",2026-12-31',
  `CVE-2020-1,,${digest},,"two\u2028words",2027-01-31T12:00:00+01:00`,
  ',openssl,,,everywhere,2026-11-24',
];

describe('POST /v1/image-exceptions/imports', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());
  const setting = () => ruleSetting(engine, randomBytes);
  const imported = (answer: Answered) => answer.json() as unknown as ExceptionImport;
  const dryRun = { dryRun: 'true' };

  test('takes what each row says: a day means its end, a scope that is not named is any', async () => {
    const { importCsv, list, told, tenantId } = setting();
    const answer = await importCsv(csv(...good));
    expect(answer.status).toBe(200);
    const { totals, items } = imported(answer);
    expect(totals).toEqual({ rows: 3, new: 3, duplicate: 0, existing: 0, faulty: 0 });
    const stored = (await list()).json().items as { exceptionId: string }[];
    const by = { author: 'user:test', createdAt: inDays(0), state: 'active' };
    expect(
      items.map(({ row, outcome, exceptionId }) => [
        row,
        outcome,
        stored.find((each) => each.exceptionId === exceptionId),
      ]),
    ).toEqual([
      [
        2,
        'new',
        {
          ...by,
          exceptionId: items[0]?.exceptionId,
          vulnerability: 'CVE-2019-14697',
          package: 'pkg:apk/alpine/musl',
          scope: { repository: 'registry.example/shop/**' },
          justification: 'not reachable, says the team',
          expiresAt: '2026-12-31T23:59:59.999Z',
          daysLeft: 38,
        },
      ],
      [
        3,
        'new',
        {
          ...by,
          exceptionId: items[1]?.exceptionId,
          vulnerability: 'CVE-2020-1',
          scope: { image: digest },
          justification: 'two\u2028words',
          expiresAt: '2027-01-31T11:00:00.000Z',
          daysLeft: 68,
        },
      ],
      [
        4,
        'new',
        {
          ...by,
          exceptionId: items[2]?.exceptionId,
          package: 'openssl',
          scope: 'any',
          justification: 'everywhere',
          expiresAt: '2026-11-24T23:59:59.999Z',
          daysLeft: 1,
        },
      ],
    ]);
    expect(told).toEqual([
      { message: 'image exceptions imported', extra: { tenantId, principal: 'user:test', count: 3 } },
    ]);
  });

  test('with dryRun says the same and stores nothing', async () => {
    const { importCsv, list, told } = setting();
    const preview = imported(await importCsv(csv(...good), dryRun));
    expect((await list()).json().items).toEqual([]);
    const { dryRun: _, ...done } = imported(await importCsv(csv(...good)));
    expect(preview).toEqual({
      dryRun: true,
      totals: done.totals,
      items: done.items.map(({ exceptionId: _id, ...item }) => item),
    });
    expect(told).toHaveLength(1);
  });

  test('the same file again is there already, and changes nothing', async () => {
    const { importCsv, list, rules, tenantId } = setting();
    const first = imported(await importCsv(csv(...good)));
    const again = imported(await importCsv(csv(...good)));
    expect(again.totals).toEqual({ rows: 3, new: 0, duplicate: 0, existing: 3, faulty: 0 });
    expect(again.items).toEqual(first.items.map((item) => ({ ...item, outcome: 'existing' })));
    expect((await list()).json().items).toHaveLength(3);
    expect((await rules.find(tenantId)).revision).toBe(1);
  });

  test('a row that says what an earlier one says is its duplicate, in any case and with another zone', async () => {
    const { importCsv, list } = setting();
    const answer = imported(
      await importCsv(
        csv(
          'CVE-2026-1,musl,,,x,2026-12-31',
          '',
          'cve-2026-1, MUSL ,,,x,2027-01-01T00:59:59.999+01:00',
          'CVE-2026-1,musl,,,y,2026-12-31',
        ),
      ),
    );
    expect(answer.items.map(({ row, outcome, sameAs }) => [row, outcome, sameAs])).toEqual([
      [2, 'new', undefined],
      [4, 'duplicate', 2],
      [5, 'new', undefined],
    ]);
    expect((await list()).json().items).toHaveLength(2);
  });

  test('an expired exception that says the same does not stand for a new one', async () => {
    const { importCsv, clock } = setting();
    await importCsv(csv('CVE-2026-1,,,,x,2026-11-24'));
    clock.now = Date.parse('2026-11-24T23:59:59.999Z');
    expect(imported(await importCsv(csv('CVE-2026-1,,,,x,2026-11-24'), dryRun)).items).toEqual([
      { row: 2, outcome: 'faulty', errors: [{ column: 'expires', message: 'must be in the future' }] },
    ]);
  });

  test('takes columns in any order and case, with a byte order mark, and without those that nobody needs', async () => {
    const { importCsv, list } = setting();
    const text = '\ufeffExpires, Justification ,Vulnerability\n2026-12-31,x,CVE-2026-1\n';
    expect(imported(await importCsv(text)).totals.new).toBe(1);
    expect((await list()).json().items).toMatchObject([{ vulnerability: 'CVE-2026-1', scope: 'any' }]);
  });

  const faulty = [
    ['CVE-2026-1,,,,x,2026-12-31', undefined, undefined],
    [',,,,x,2026-12-31', 'vulnerability', 'vulnerability or package must be given'],
    ['none,,,,x,2026-12-31', 'vulnerability', 'must be a name such as CVE-2019-14697'],
    [
      ',pkg:apk/a/b@1,,,x,2026-12-31',
      'package',
      'must be a package URL without version, qualifiers and subpath',
    ],
    ['CVE-2026-1,,sha256:a,,x,2026-12-31', 'image', 'must be sha256: and 64 hex digits'],
    [
      'CVE-2026-1,,,shop,x,2026-12-31',
      'repository',
      'must be <registry>/<repository>; * stands for anything but /, ** for anything',
    ],
    [
      `CVE-2026-1,,${digest},registry.example/shop,x,2026-12-31`,
      'repository',
      'must be empty where there is an image',
    ],
    ['CVE-2026-1,,,,,2026-12-31', 'justification', expect.any(String)],
    ['CVE-2026-1,,,,"a\nb",2026-12-31', 'justification', 'must have no control characters'],
    ['CVE-2026-1,,,,x,', 'expires', 'must be a day (2026-12-31) or an RFC 3339 time with its zone'],
    ['CVE-2026-1,,,,x,31.12.2026', 'expires', 'must be a day (2026-12-31) or an RFC 3339 time with its zone'],
    ['CVE-2026-1,,,,x,2026-02-30', 'expires', 'must be a day (2026-12-31) or an RFC 3339 time with its zone'],
    ['CVE-2026-1,,,,x,2026-11-22', 'expires', 'must be in the future'],
    ['CVE-2026-1,,,,x,2030-01-01', 'expires', 'must be at most 366 days from now'],
    ['CVE-2026-1,,,,x', '', 'the row has 5 fields, the header 6'],
  ] as const;
  const allFaulty = csv(...faulty.map(([row]) => row));

  test('previews each faulty row with its column and what is wrong, the others as if they stood alone', async () => {
    const { importCsv } = setting();
    const answer = await importCsv(allFaulty, dryRun);
    expect(answer.status).toBe(200);
    const { totals, items } = imported(answer);
    expect(totals).toEqual({ rows: 15, new: 1, duplicate: 0, existing: 0, faulty: 14 });
    expect(items).toEqual(
      faulty.map(([, column, message], at) => ({
        row: at + 2,
        ...(column === undefined ? { outcome: 'new' } : { outcome: 'faulty', errors: [{ column, message }] }),
      })),
    );
  });

  test('with a fault in one row takes none: 400 INVALID_REQUEST with rows and columns, and not what stands there', async () => {
    const { importCsv, list } = setting();
    const refused = await importCsv(allFaulty);
    expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
    expect(refused.json().errors).toEqual(
      faulty.flatMap(([, column, message], at) =>
        column === undefined ? [] : [{ path: `/rows/${at + 2}/${column}`, message }],
      ),
    );
    expect(refused.text).not.toContain('31.12.2026');
    expect((await list()).json().items).toEqual([]);
  });

  test('names 100 faults, and no more', async () => {
    const rows = Array.from({ length: 150 }, () => 'CVE-2026-1,,,,,2026-12-31');
    expect((await setting().importCsv(csv(...rows))).json().errors).toHaveLength(100);
  });

  test.each([
    ['an empty file', '', 'The file is empty.'],
    ['a column that is not known', `${header},note\n`, 'Column 7 has a name that is not known.'],
    ['semicolons', `${header.replaceAll(',', ';')}\n`, 'Columns are parted by commas.'],
    ['a column twice', 'image,IMAGE\n', 'Two columns have the same name.'],
    ['a quote that does not end', `${header}\n"a`, 'This is no CSV: in row 2 a quoted field does not end.'],
    [
      'another encoding',
      Buffer.from(`${header}\nCVE-2026-1,,,,f\xfcr uns,2026-12-31`, 'latin1'),
      'The file is not UTF-8',
    ],
  ])('refuses %s with 400 INVALID_REQUEST, previewed or not', async (_what, text, detail) => {
    const { importCsv } = setting();
    for (const query of [{}, dryRun]) {
      const refused = await importCsv(text, query);
      expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
      expect(refused.json().detail).toContain(detail);
    }
  });

  test('refuses other media types with 415, 1 MB and a byte with 413, and a dryRun that is none with 400', async () => {
    const { importCsv } = setting();
    for (const type of [{}, { 'Content-Type': 'application/json' }, { 'Content-Type': 'text/csvx' }]) {
      expect((await importCsv(csv(), {}, type)).json().code).toBe('UNSUPPORTED_MEDIA_TYPE');
    }
    expect((await importCsv(csv(), {}, { 'content-type': 'Text/CSV; charset=utf-8' })).status).toBe(200);
    expect((await importCsv(' '.repeat(1024 * 1024 + 1))).json().code).toBe('PAYLOAD_TOO_LARGE');
    expect((await importCsv(csv(), { dryRun: 'yes' })).json().code).toBe('INVALID_REQUEST');
  });

  const many = (count: number, from = 0) =>
    csv(...Array.from({ length: count }, (_, at) => `CVE-2026-${from + at},,,,x,2026-12-31`));

  test('takes 5,000 rows at once; 5,001 are refused with 413, and a tenant’s 5,001st exception with LIMIT_REACHED', async () => {
    const { importCsv, list } = setting();
    expect((await importCsv(many(5_001), dryRun)).json().code).toBe('PAYLOAD_TOO_LARGE');
    expect(imported(await importCsv(many(5_000))).totals.new).toBe(ruleLimits.exceptions);
    for (const query of [dryRun, {}]) {
      const refused = await importCsv(many(1, 9_000), query);
      expect([refused.status, refused.json().code]).toEqual([409, 'LIMIT_REACHED']);
    }
    expect((await list({ vulnerability: 'CVE-2026-9000' })).json().items).toEqual([]);
    expect((await list({ vulnerability: 'CVE-2026-4999' })).json().items).toHaveLength(1);
  });

  test('leaves all of the old ones, or all of the new, whatever write fails; the same file completes it', async () => {
    const { importCsv, list, add } = setting();
    await add({ vulnerability: 'CVE-2000-1', scope: 'any', justification: 'old', expiresAt: inDays(30) });
    for (const nth of [1, 2]) {
      engine.faults.dieAfterWrite(nth);
      expect((await importCsv(csv(...good))).json().code).toBe('UNAVAILABLE');
      engine.faults.mend();
      expect((await list()).json().items).toHaveLength(nth === 1 ? 1 : 4);
    }
    expect(imported(await importCsv(csv(...good))).totals).toMatchObject({ existing: 3 });
    expect((await list()).json().items).toHaveLength(4);
  });

  (unitsAreExact ? test : test.skip)('costs what one change does, however many rows it has', async () => {
    const { importCsv } = setting();
    await importCsv(csv('CVE-2000-1,,,,x,2026-12-31'));
    expect(await engine.units(() => importCsv(csv(...good), dryRun))).toEqual({ read: 1, write: 0 });
    expect(await engine.units(() => importCsv(csv(...good)))).toEqual({ read: 1, write: 2 });
  });
});
