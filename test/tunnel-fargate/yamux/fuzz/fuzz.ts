import { fuzzBytes, mutatedBytes } from './bytes.ts';
import { fuzzSessions } from './sessions.ts';

export type Finding = {
  /** Starts a run that begins with this finding. */
  readonly seed: number;
  readonly faults: readonly string[];
  /** The input, hexadecimal; undefined where the seed alone makes it. */
  readonly bytes?: string;
};

/** Byte streams for one pair of sessions, which takes as long as all of them. */
const byteStreams = 20;

/** One pair of sessions and several mutated byte streams, all made from one seed. */
export async function fuzzOnce(seed: number): Promise<Finding | undefined> {
  const faults = await fuzzSessions(seed);
  if (faults.length > 0) return { seed, faults };
  for (let index = 0; index < byteStreams; index += 1) {
    const own = seed * byteStreams + index;
    const found = await fuzzBytes(own);
    if (found.length > 0) return { seed, faults: found, bytes: mutatedBytes(own).toString('hex') };
  }
  return undefined;
}
