import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Line, LineSplitter } from '../../../tunnel-fargate/ingest/line-splitter.ts';

function split(chunks: readonly Buffer[], maxLineBytes: number): { lines: Line[]; mostHeld: number } {
  const splitter = new LineSplitter(maxLineBytes);
  let mostHeld = 0;
  const lines = chunks.flatMap((chunk) => {
    const complete = [...splitter.push(chunk)];
    mostHeld = Math.max(mostHeld, splitter.heldBytes);
    return complete;
  });
  const last = splitter.end();
  return { lines: last ? [...lines, last] : lines, mostHeld };
}

describe('lines of a body', () => {
  test('are the same however the body was cut', () => {
    const body = fc.array(fc.constantFrom('a', 'b', '\n', '\u00e9'), { maxLength: 60 });
    const cuts = fc.array(fc.nat(80), { maxLength: 8 });
    fc.assert(
      fc.property(body, cuts, fc.integer({ min: 1, max: 20 }), (letters, at, max) => {
        const bytes = Buffer.from(letters.join(''));
        const places = [0, ...at.filter((place) => place < bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((to, index) => bytes.subarray(places[index], to));
        const { lines, mostHeld } = split(chunks, max);
        const expected = bytes.toString('latin1').split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(lines.map(({ size }) => size)).toEqual(expected.map(({ length }) => length));
        expect(lines.map((line) => line.bytes.toString('latin1'))).toEqual(
          expected.map((line) => line.slice(0, max)),
        );
        expect(lines.map(({ whole }) => whole)).toEqual(expected.map(({ length }) => length <= max));
        expect(mostHeld).toBeLessThanOrEqual(max);
      }),
      { seed: 4, numRuns: 500 },
    );
  });
});
