import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { maxNesting, parseReportJson } from '../../../../functions/image-scan/report/report-json.ts';
import { inlineLimits, storedLimits } from '../../../../functions/image-scan/report/report-limits.ts';
import { refusal } from './refusal.ts';

const parse = (text: string) => parseReportJson(Buffer.from(text));
const refused = (text: string | Uint8Array) => refusal(() => parseReportJson(Buffer.from(text)));

describe("a report's JSON", () => {
  test('is read as JSON.parse reads it, whatever it holds', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        let given: unknown;
        try {
          given = parse(text);
        } catch (error) {
          // fast-check may name a member __proto__.
          expect((error as Error).message).toContain('has a member named');
          return;
        }
        expect(given).toEqual(JSON.parse(text));
      }),
      { seed: 6, numRuns: 300 },
    );
  });

  test.each([
    ['nothing', '', 'empty'],
    ['white space', ' \n\t', 'empty'],
    ['half of it', '{"a":[1,2', 'only the beginning'],
    ['half a string', '{"a":"b', 'only the beginning'],
    ['a string that ends in an escaped quote', '{"a\\"', 'only the beginning'],
    ['more after its end', '{} {}', 'not JSON'],
    ['closing brackets first', ']]]}}}', 'not JSON'],
    ['a name with a broken escape', '{"\\x":1}', 'not JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'not UTF-8'],
    ['a character cut in two', Buffer.from('{"a":"é"}').subarray(0, 7), 'not UTF-8'],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le').swap16(), 'not JSON'],
  ])('is refused with REPORT_MALFORMED when it is %s', (_what, text, words) => {
    const problem = refused(text);
    expect([problem.code, problem.status]).toEqual(['REPORT_MALFORMED', 400]);
    expect(problem.message).toContain(words);
  });

  test.each([
    ['{"a":1,"a":2}'],
    ['{"a":1,"b":{"a":2},"a":3}'],
    ['[{"x":[{"a":1},{"b":1,"b":1}]}]'],
    ['{"a":1,"\\u0061":2}'],
    ['{"\\u00e9":1,"é":2}'],
    ['{"a\\"":1,"a\\u0022":2}'],
    ['{"":1,"":2}'],
    ['{"a" : {} , "a" : []}'],
    ['{"a":"{","a":1}'],
  ])('is refused with REPORT_MALFORMED for two members of one name: %s', (text) => {
    // It is JSON, of which another reader takes the last.
    expect(() => JSON.parse(text) as unknown).not.toThrow();
    expect(refused(text)).toMatchObject({
      code: 'REPORT_MALFORMED',
      message: 'The report has two members of one name in an object.',
    });
  });

  test.each([
    ['[{"a":1},{"a":2}]'],
    ['{"a":{"a":{"a":1}}}'],
    ['{"a":["a","a",{"a":"a"}],"b":"a"}'],
    ['{"a":"\\"a\\":1,","b":"{\\"b\\":1}"}'],
    ['{"a\\\\":1,"a":2}'],
    ['{"A":1,"a":2}'],
    ['["a","a"]'],
  ])('may have the same name in different objects: %s', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test('finds two members of one name in random objects, and only there', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'é', 'x"y', '\\');
    const escaped = (text: string, all: boolean) =>
      all
        ? `"${Array.from(text, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
        : JSON.stringify(text);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.boolean()), { maxLength: 6 }), (names) => {
        const inner = `{${names.map(([each, all]) => `${escaped(each, all)}:"}"`).join(',')}}`;
        const read = () => parse(`{"a":[${inner},{}],"b":${inner}}`);
        if (new Set(names.map(([each]) => each)).size === names.length) expect(read).not.toThrow();
        else expect(refusal(read).message).toContain('two members of one name');
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test.each(['__proto__', 'constructor', 'prototype', '\\u005f_proto__'])(
    'is refused with REPORT_MALFORMED for a member named %s, at any depth',
    (name) => {
      for (const text of [`{"${name}":{"polluted":true}}`, `[{"a":{"${name}":null}}]`]) {
        expect(refused(text)).toMatchObject({ code: 'REPORT_MALFORMED' });
      }
      expect({}).not.toHaveProperty('polluted');
      // As a value it is a word like others.
      expect(parse(`{"a":"${name}"}`)).toEqual(JSON.parse(`{"a":"${name}"}`));
    },
  );

  test(`may be nested ${maxNesting} deep, and is refused with REPORT_MALFORMED above`, () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(() => parse(nested(maxNesting))).not.toThrow();
    expect(refused(nested(maxNesting + 1)).message).toContain('nested deeper');
    expect(refused('['.repeat(1_000_000)).message).toContain('nested deeper');
    expect(refused('{"a":'.repeat(500_000)).message).toContain('nested deeper');
    // Brackets inside of strings are no nesting.
    expect(parse(`["${'['.repeat(500)}\\"["]`)).toEqual([`${'['.repeat(500)}"[`]);
  });

  test.each([
    ['inline', inlineLimits],
    ['uploaded', storedLimits],
  ])(
    '%s may have so many arrays and objects, and is refused with PAYLOAD_TOO_LARGE above',
    (_how, limits) => {
      const { containers } = limits;
      const objects = (count: number) => Buffer.from(`[${'{},'.repeat(count - 2)}{}]`);
      expect(parseReportJson(objects(containers), limits)).toHaveLength(containers - 1);
      expect(refusal(() => parseReportJson(objects(containers + 1), limits)).code).toBe('PAYLOAD_TOO_LARGE');
      expect(parse(`["${'{'.repeat(inlineLimits.containers + 1)}"]`)).toHaveLength(1);
    },
  );

  test('may have so many members of objects, and is refused with PAYLOAD_TOO_LARGE above', () => {
    const limits = { ...inlineLimits, members: 1_000 };
    const members = (count: number) =>
      Buffer.from(`[{${Array.from({ length: count }, (_, index) => `"${index}":1`).join(',')}}]`);
    expect(() => parseReportJson(members(1_000), limits)).not.toThrow();
    expect(refusal(() => parseReportJson(members(1_001), limits)).code).toBe('PAYLOAD_TOO_LARGE');
  });

  test('may begin with a byte order mark', () => {
    expect(parseReportJson(Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{}')]))).toEqual({});
  });

  test('is never shown in a refusal', () => {
    for (const text of ['{"secret": hunter2', '{"hunter2":1,"hunter2":2}', '"hunter2']) {
      expect(refused(text).message).not.toContain('hunter2');
    }
  });

  test('takes a megabyte of what is worst for it in linear time', () => {
    const size = 1024 * 1024;
    const many = Math.floor(size / 11);
    const worst = [
      `"${'\\'.repeat(size - 3)}`, // a run of backslashes before each quote would be counted again and again
      `{${Array.from({ length: many }, (_, at) => `"${at.toString(36)}":1`).join(',')}}`,
      `[${'{"a":{}},'.repeat(Math.floor(size / 9))}0]`,
      `["${'\\"'.repeat(size / 2 - 2)}"]`,
    ];
    const started = process.cpuUsage();
    for (const text of worst) {
      try {
        parse(text);
      } catch (error) {
        expect(['REPORT_MALFORMED', 'PAYLOAD_TOO_LARGE']).toContain((error as { code: unknown }).code);
      }
    }
    const { user, system } = process.cpuUsage(started);
    // Quadratic, each would take minutes.
    expect((user + system) / 1e6).toBeLessThan(20);
  });
});
