import { describe, expect, test } from '@jest/globals';
import { goRequest, goTcp } from '../../../bench/tunnel/contestants.ts';
import { targets, verdicts } from '../../../bench/tunnel/targets.ts';
import { works } from '../../../bench/tunnel/works.ts';

const row = (work: string, peer: string, metric: string, value: number, ratioToGoRelay: number | null) => ({
  work,
  peer,
  metric,
  unit: 'ms',
  value,
  ratioToGoRelay,
});

describe('a verdict', () => {
  test.each([
    [0.1, true],
    [0.101, false],
  ])('on a ratio of %d to at most 0.1 says met: %s', (ratio, isMet) => {
    const rows = [row('W6', 'Cattery, access', 'server CPU', 99, ratio)];
    expect(verdicts(rows)).toMatchObject([{ bound: '× 0.1', isMet }]);
  });

  test.each([
    [5, true],
    [5.01, false],
  ])('on %d ms of at most 5 says met: %s', (value, isMet) => {
    const rows = [row('W4', 'Cattery, access', 'p99 moved by', value, null)];
    expect(verdicts(rows)).toMatchObject([{ bound: '5 ms', measured: `${value} ms`, isMet }]);
  });

  test('without a ratio is not met', () => {
    const rows = [row('W6', 'Cattery, access', 'server CPU', 0, null)];
    expect(verdicts(rows)).toMatchObject([{ measured: 'no ratio', isMet: false }]);
  });

  test('is given on what was measured only', () => {
    expect(verdicts([row('W6', goTcp.name, 'server CPU', 1, 1)])).toEqual([]);
  });
});

test('every target is about a peer that takes part in its work, beside a Go relay', () => {
  for (const { work, peer } of targets) {
    const entry = works
      .filter(({ id }) => id === work)
      .flatMap(({ entries }) => entries)
      .find(({ contestant }) => contestant.name === peer);
    expect([goTcp, goRequest]).toContain(entry?.to);
  }
});
