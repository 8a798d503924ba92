import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';

/** What makes a line no flow. A closed set: it labels metrics and stands in the objects of rejected lines. */
export const rejectReasons = [
  'too-long',
  'too-short',
  'not-utf8',
  'not-json',
  'not-an-object',
  'no-key',
  'no-times',
] as const;
export type RejectReason = (typeof rejectReasons)[number];

export type Flow = {
  /** Equal for two lines about the same key, start and end (guardian.md §4.1), 12 characters. */
  readonly identity: string;
  /** Unix seconds. */
  readonly start: number;
  /** Unix seconds. */
  readonly end: number;
};

/** The shortest flow there can be: below it nothing is parsed, since a parser's exception costs more than a line. */
const shortest = '{"Key":{},"start_time":1,"end_time":1}'.length;

/**
 * Checks a line of Goldmane's NDJSON. Only key and times are asked for: what else a later Calico writes is kept as it
 * comes. The line itself is never written anew, because numbers beyond 2^53 would not survive it.
 */
export function readFlow(line: Buffer): Flow | RejectReason {
  if (line.length < shortest) return 'too-short';
  if (!isUtf8(line)) return 'not-utf8';
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return 'not-json';
  }
  if (!isObject(value)) return 'not-an-object';
  const { Key: key, start_time: start, end_time: end } = value;
  if (!isObject(key)) return 'no-key';
  if (!isTime(start) || !isTime(end)) return 'no-times';
  let text: string;
  try {
    text = JSON.stringify(key);
  } catch {
    // Nested deeper than the stack: parsing is a loop, writing is not.
    return 'no-key';
  }
  const digest = createHash('sha256').update(`${text}\n${start}\n${end}`).digest();
  return { identity: digest.toString('latin1', 0, 12), start, end };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
