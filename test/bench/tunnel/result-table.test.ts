import { describe, expect, test } from '@jest/globals';
import { tablesOf, withTables } from '../../../bench/tunnel/result-table.ts';

const row = (metric: string, peer: string, value: number, ratioToGoRelay: number | null) => ({
  work: 'W1',
  peer,
  metric,
  unit: 's',
  value,
  ratioToGoRelay,
});
const works = [
  { id: 'W1', title: 'bulk', scale: 'scaled down' },
  { id: 'W2', title: 'fairness', scale: 'whole' },
];
const result = {
  date: '2026-11-23T12:00:00.000Z',
  machine: '2 CPUs',
  rows: [row('down', 'go', 2, 1), row('up', 'go', 3, null), row('down', 'ours', 1, 0.5)],
};

describe('the tables', () => {
  const text = tablesOf(result, works, 'Medians of 5.', ['rathole is not installed']);

  test('say date, machine, method, and who is not there', () => {
    expect(text).toContain('2026-11-23, 2 CPUs. Medians of 5.');
    expect(text).toContain('Not here: rathole is not installed.');
  });

  test('put the peers of one metric beside each other', () => {
    const lines = text.split('\n').filter((line) => /^\| (down|up)/.test(line));
    expect(lines).toEqual([
      '| down | s | go | 2 | 1.00 |',
      '| down | s | ours | 1 | 0.50 |',
      '| up | s | go | 3 |  |',
    ]);
  });

  test('are only of what was measured', () => {
    expect(text).toContain('### W1: bulk');
    expect(text).not.toContain('W2');
  });
});

describe('the document', () => {
  const marks = ['<!-- npm run bench: begin -->', '<!-- npm run bench: end -->'] as const;

  test('keeps what is around the marks, and the marks for the next time', () => {
    const once = withTables(`before\n\n${marks[0]}\nold\n${marks[1]}\n\nafter\n`, 'new');
    expect(once).toBe(`before\n\n${marks[0]}\n\nnew\n\n${marks[1]}\n\nafter\n`);
    expect(withTables(once, 'newer')).toBe(once.replace('new', 'newer'));
  });

  test('without both marks in order is refused, so that nothing of it is lost', () => {
    expect(() => withTables('no marks', 'new')).toThrow('begin');
    expect(() => withTables(`${marks[1]} ${marks[0]}`, 'new')).toThrow('begin');
  });
});
