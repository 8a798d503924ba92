import { expect, test } from '@jest/globals';
import { figures, refusalError } from '../../../functions/release-mirror/figures.ts';

const refused = [
  { version: 'v3.32.1', name: 'operator-crds.yaml', code: 'CHANGED', why: 'its SHA-256 is another' },
  { version: 'v3.30.7', name: 'tigera-operator.yaml', code: 'STATUS', why: 'upstream answers 500' },
] as const;

test('a run counts what it refused and stored, zeros as well: they end the alarm', () => {
  expect(figures({ stored: ['v3.31.7/custom-resources.yaml'], refused })).toEqual([
    { name: 'ManifestsRefused', value: 2 },
    { name: 'ManifestsStored', value: 1 },
  ]);
  expect(figures({ stored: [], refused: [] }).map(({ value }) => value)).toEqual([0, 0]);
});

test('the error names each refused file with code and reason; without one there is no error', () => {
  expect(refusalError(refused)?.message).toBe(
    'Refused: v3.32.1/operator-crds.yaml: CHANGED, its SHA-256 is another; v3.30.7/tigera-operator.yaml: STATUS, upstream answers 500.',
  );
  expect(refusalError([])).toBeUndefined();
});
