/** What docs/image-policy.md shows is what the API takes. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { exceptionRequest } from '../../../core/image/exception-schema.ts';
import { imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { verdictRules } from '../../../core/image/image-schema.ts';
import { readExceptionRows } from '../../../functions/image-scan/exception-csv.ts';

const page = readFileSync(new URL('../../../docs/image-policy.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map(([, text = '']) => text);
/** First cells of the table's rows whose first column has this heading. */
const rows = (heading: string) => {
  const [, table = ''] = new RegExp(`^\\| ${heading} \\|.*\n\\|---.*\n((?:\\|.*\n)*)`, 'm').exec(page) ?? [];
  return [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = '']) => cell.match(/[\w-]+/g) ?? []);
};

describe('docs/image-policy.md', () => {
  test('shows a policy and an exception that are taken', () => {
    const [policy, exception, ...others] = blocks('json').map((text): unknown => JSON.parse(text));
    expect(others).toEqual([]);
    expect(imagePolicy.parse(policy)).toMatchObject({ failAt: 9, overrides: [{}, {}] });
    expect(exceptionRequest.parse(exception)).toEqual(exception);
  });

  test('shows CSV of which every row is taken', () => {
    const [csv = ''] = blocks('csv');
    const read = readExceptionRows(csv, Date.parse('2026-11-23T12:00:00Z'));
    expect(read).toHaveLength(3);
    expect(read.filter((row) => 'faults' in row)).toEqual([]);
  });

  test('has every member of the policy with its default, and every rule', () => {
    const { overrides: _overrides, ...defaults } = imagePolicy.parse({});
    expect(rows('member').slice(0, 11).sort()).toEqual(Object.keys(imagePolicy.shape).sort());
    for (const [member, value] of Object.entries(defaults)) {
      const told =
        member === 'warnAt' || member === 'failAt'
          ? '4, 9'
          : typeof value === 'object'
            ? '{}'
            : String(value);
      expect(page).toMatch(
        new RegExp(`^\\| .*\`${member}\`.* \\| ${told.replace(/[{}]/g, '\\$&')} \\|`, 'm'),
      );
    }
    expect(rows('rule').sort()).toEqual([...verdictRules].sort());
  });
});
