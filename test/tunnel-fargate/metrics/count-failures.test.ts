import { expect, test } from '@jest/globals';
import { countFailures } from '../../../tunnel-fargate/metrics/count-failures.ts';

test('failures are told and go on to the caller; answers pass as they are, with the object they belong to', async () => {
  const failures: string[] = [];
  class Counter {
    readonly #step = 2;
    add(number: number): Promise<number> {
      return number < 0 ? Promise.reject(new RangeError('below 0')) : Promise.resolve(number + this.#step);
    }
    other(): Promise<string> {
      return Promise.resolve('not watched');
    }
  }
  const watched = countFailures(new Counter(), ['add'], (method) => failures.push(method));
  expect(await watched.add(3)).toBe(5);
  expect(failures).toEqual([]);
  await expect(watched.add(-1)).rejects.toThrow(RangeError);
  expect(failures).toEqual(['add']);
  expect('other' in watched).toBe(false);
});
