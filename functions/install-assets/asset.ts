import { createHash } from 'node:crypto';
import type { Answer } from '../../core/api/api-function.ts';

/** Something public that is the same for everyone until the next deployment. */
export type Asset = {
  /** JSON text. */
  readonly text: string;
  /** Strong entity tag, with its quotes (RFC 9110 §8.8.3). */
  readonly etag: string;
};

export function newAsset(value: unknown): Asset {
  const text = JSON.stringify(value);
  return { text, etag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"` };
}

/** The asset, or 304 when the client has it (RFC 9110 §13.1.2: weak comparison, a list, or `*`). */
export function assetAnswer({ text, etag }: Asset, ifNoneMatch: string | undefined): Answer {
  const headers = { ETag: etag, 'Cache-Control': 'public, max-age=300' };
  const known = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes(etag) || known.includes('*') ? { status: 304, headers } : { body: text, headers };
}
