import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CsvFault, csvRows } from '../../../functions/image-scan/csv.ts';

const read = (text: string) => [...csvRows(text)];
const fields = (text: string) => read(text).map((each) => each.fields);

describe('a CSV text', () => {
  test.each<[string, string, readonly (readonly string[])[]]>([
    ['nothing', '', []],
    ['one record without a line end', 'a,b', [['a', 'b']]],
    ['CRLF, LF and no end', 'a\r\nb\nc', [['a'], ['b'], ['c']]],
    ['a byte order mark', '\ufeffa,b\n', [['a', 'b']]],
    [
      'empty fields, the last too',
      ',\n,,x\ny,',
      [
        ['', ''],
        ['', '', 'x'],
        ['y', ''],
      ],
    ],
    ['empty lines', '\n\r\na\n\n', [['a']]],
    ['commas and line ends in quotes', '"a,b","c\r\nd\ne"\nf', [['a,b', 'c\r\nd\ne'], ['f']]],
    ['doubled quotes', '"""a"" b",""""', [['"a" b', '"']]],
    ['empty quotes', '"",x', [['', 'x']]],
    ['blanks, which belong to the field', ' a , b', [[' a ', ' b']]],
  ])('has %s', (_what, text, expected) => {
    expect(fields(text)).toEqual(expected);
  });

  test('counts rows as a spreadsheet does: a record with line ends is one, an empty one counts', () => {
    expect(read('h\n"a\nb"\n\nc').map(({ row }) => row)).toEqual([1, 2, 4]);
  });

  test.each([
    ['a quote inside a field', 'a\nb"c"', 2, 'a quote stands inside a field that does not begin with one'],
    ['text behind a quote', '"a" ,b', 1, 'text stands behind a closing quote'],
    ['an open quote', 'a\n"b\nc', 2, 'a quoted field does not end'],
    ['an old Macintosh’s line ends', 'a\rb', 1, 'a carriage return stands without a line feed'],
    ['a carriage return behind a quote', '"a"\rb', 1, 'text stands behind a closing quote'],
  ])('with %s is refused with its row, and without its text', (_what, text, row, message) => {
    const thrown = (() => {
      try {
        return read(text);
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toBeInstanceOf(CsvFault);
    expect(thrown).toMatchObject({ row, message });
  });

  test('gives back whatever was written as RFC 4180 says', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '\ufeff', '😀') });
    // A record of one empty field is an empty line.
    const record = fc.array(cell, { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.array(record, { maxLength: 6 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        (rows, end, last) => {
          const quote = (text: string) =>
            /^[a-zé 😀]*$/u.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
          const text = rows.map((row) => row.map(quote).join(',')).join(end);
          expect(fields(last && rows.length > 0 ? text + end : text)).toEqual(rows);
        },
      ),
      { seed: 6, numRuns: 300 },
    );
  });

  test('is read or refused, never anything else, whatever it holds', () => {
    const hostile = fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a', '\ufeff') });
    fc.assert(
      fc.property(hostile, (text) => {
        try {
          for (const { fields: record } of csvRows(text)) expect(record.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(CsvFault);
        }
      }),
      { seed: 6, numRuns: 500 },
    );
  });
});
