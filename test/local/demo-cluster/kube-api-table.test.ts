import { describe, expect, test } from '@jest/globals';
import { ageOf } from '../../../local/demo-cluster/kube-api-table.ts';

describe('ages in tables', () => {
  const [minute, hour, day] = [60, 3600, 86_400];
  test.each([
    [-5, '0s'],
    [119, '119s'],
    [3 * minute + 5, '3m5s'],
    [5 * minute, '5m'],
    [17 * minute + 30, '17m'],
    [2 * hour + 59 * minute, '179m'],
    [5 * hour + 12 * minute, '5h12m'],
    [30 * hour, '30h'],
    [3 * day + 4 * hour, '3d4h'],
    [200 * day, '200d'],
    [2 * 365 * day + 30 * day, '2y30d'],
  ])('shows %d seconds as %s', (seconds, shown) => {
    expect(ageOf(seconds)).toBe(shown);
  });
});
