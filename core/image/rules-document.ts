import { gunzipSync, gzipSync } from 'node:zlib';
import { Problem } from '../problem/problem.ts';
import { type ImagePolicy, imagePolicy } from './image-policy-schema.ts';

/** How many exceptions, and statements, a tenant may have. */
export const ruleLimits = { exceptions: 5_000, statements: 5_000 } as const;
export type RuleDocument = keyof typeof ruleLimits;

type Size = { readonly stored: number; readonly json: number };
/** Bytes of each document (DynamoDB: 400 KB an item); of its JSON, as whoever judges holds it in memory. */
const documentSize: Size = { stored: 350 * 1024, json: 8 * 1024 * 1024 };
/** Bytes of the policy: every admission review reads it, at a unit per 4 KB. */
const policySize: Size = { stored: 32 * 1024, json: 256 * 1024 };

/** All exceptions, or all statements, as they are stored: gzip of JSON. Throws LIMIT_REACHED. */
export function encodedDocument(kind: RuleDocument, kept: readonly unknown[]): Uint8Array {
  const most = ruleLimits[kind];
  if (kept.length > most) {
    throw new Problem('LIMIT_REACHED', `A tenant has at most ${most} ${kind} for images.`);
  }
  const what = `The ${kind} for images are too large together: shorten some, or take some away.`;
  return encoded(kept, documentSize, what);
}

export const decodedDocument = (stored: unknown): unknown[] => decoded(stored, documentSize) as unknown[];

/** Throws LIMIT_REACHED. */
export const encodedPolicy = (policy: ImagePolicy): Uint8Array =>
  encoded(policy, policySize, 'The image policy is too large: it is read with every admission review.');

export const decodedPolicy = (stored: unknown): ImagePolicy => imagePolicy.parse(decoded(stored, policySize));

function encoded(value: unknown, most: Size, tooLarge: string): Uint8Array {
  const json = Buffer.from(JSON.stringify(value));
  // What is not read again must not be stored either.
  if (json.length > most.json) throw new Problem('LIMIT_REACHED', tooLarge);
  const bytes = gzipSync(json);
  if (bytes.length > most.stored) throw new Problem('LIMIT_REACHED', tooLarge);
  return bytes;
}

const decoded = (stored: unknown, most: Size): unknown =>
  JSON.parse(gunzipSync(stored as Uint8Array, { maxOutputLength: most.json }).toString('utf8'));
