import { expect, test } from '@jest/globals';
import { health } from '../../tunnel-fargate/health.ts';

test('live and ready differ: a task that drains lives, and says that it is not ready', () => {
  let ready = true;
  const answer = health(() => ready);
  expect([answer('/live')?.status, answer('/ready')?.status]).toEqual([200, 200]);
  ready = false;
  expect([answer('/live')?.status, answer('/ready')?.status]).toEqual([200, 503]);
  expect(answer('/metrics')).toBeUndefined();
});
