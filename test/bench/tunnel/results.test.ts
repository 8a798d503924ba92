import { glob, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { resultFile, type Rounds, rowsOf } from '../../../bench/tunnel/results.ts';
import type { Measurement } from '../../../bench/tunnel/works.ts';

const cpu = (value: number, isCompared = true): Measurement => ({
  metric: 'CPU',
  unit: 's',
  value,
  isCompared,
});
const rounds = (peer: string, to: string, ...values: number[]): Rounds => ({
  peer,
  to,
  rounds: values.map((value) => [cpu(value)]),
});

describe('rows', () => {
  test('give the median of the rounds, and the median of their ratios to the Go relay', () => {
    const rows = rowsOf('W1', [rounds('go', 'go', 2, 4, 200), rounds('ours', 'go', 1, 3, 50)]);
    expect(rows).toEqual([
      { work: 'W1', peer: 'go', metric: 'CPU', unit: 's', value: 4, ratioToGoRelay: 1 },
      { work: 'W1', peer: 'ours', metric: 'CPU', unit: 's', value: 3, ratioToGoRelay: 0.5 },
    ]);
  });

  test('have no ratio where the Go relay measured nothing of the kind', () => {
    expect(rowsOf('W1', [rounds('ours', 'go', 1)])[0]?.ratioToGoRelay).toBeNull();
  });

  test('have no ratio of what is a difference', () => {
    const peer = { peer: 'go', to: 'go', rounds: [[cpu(-3, false)]] };
    expect(rowsOf('W4', [peer])[0]).toMatchObject({ value: -3, ratioToGoRelay: null });
  });

  test('are refused when a round is incomplete: a median of fewer would look like any other', () => {
    const peer = { peer: 'go', to: 'go', rounds: [[cpu(1)], []] };
    expect(() => rowsOf('W1', [peer])).toThrow('not every round of W1 measured CPU');
  });
});

describe('the file', () => {
  const row = { work: 'W1', peer: 'go', metric: 'CPU', unit: 's', value: 1, ratioToGoRelay: null };
  const file = { date: '2026-11-23T12:00:00.000Z', machine: 'a machine', rows: [row] };

  test('has a date, a machine and rows', () => {
    expect(resultFile.parse(file)).toEqual(file);
  });

  test.each([
    ['a further member', { ...file, host: 'x' }],
    ['a row with a further member', { ...file, rows: [{ ...row, runs: 5 }] }],
    ['a row without its ratio', { ...file, rows: [{ ...row, ratioToGoRelay: undefined }] }],
    ['a value that is no number', { ...file, rows: [{ ...row, value: NaN }] }],
    ['a date in words', { ...file, date: 'today' }],
  ])('is refused with %s', (_what, wrong) => {
    expect(resultFile.safeParse(wrong).success).toBe(false);
  });

  test('as committed has this shape, each of them', async () => {
    const directory = path.join(import.meta.dirname, '../../../bench/results');
    const files: string[] = [];
    for await (const name of glob('*.json', { cwd: directory })) files.push(name);
    expect(files).not.toEqual([]);
    for (const name of files) {
      const parsed: unknown = JSON.parse(await readFile(path.join(directory, name), 'utf8'));
      expect(resultFile.parse(parsed).date.slice(0, 10)).toBe(name.replace('.json', ''));
    }
  });
});
