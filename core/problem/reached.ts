import { Problem } from './problem.ts';

/** The value, or UNAVAILABLE with the name of the part that did not answer; what it said is logged, not shown. */
export async function reached<T>(part: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('UNAVAILABLE', `${part} cannot be reached just now: try again.`, {
      cause: error,
      headers: { 'Retry-After': '2' },
    });
  }
}
