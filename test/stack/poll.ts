import { setTimeout as delay } from 'node:timers/promises';

/** Asks until the answer is neither undefined nor false; throws, saying what was waited for, after `withinMs`. */
export async function eventually<T>(
  what: string | (() => string),
  withinMs: number,
  ask: () => T | Promise<T>,
): Promise<Exclude<T, undefined | false>> {
  const until = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    if (performance.now() > until)
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`);
    await delay(20);
  }
}
