import { createHash } from 'node:crypto';
import type { Answer } from '../../core/api/api-function.ts';
import { ifNoneMatches } from '../../core/api/entity-tag.ts';

/** Something public that is the same for everyone until the next deployment. */
export type Asset = {
  readonly text: string;
  /** Strong entity tag, with its quotes (RFC 9110 §8.8.3). */
  readonly etag: string;
};

/** As it is; its row of the route table says which media type it has. */
export const textAsset = (text: string): Asset => ({
  text,
  etag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`,
});

/** As JSON. */
export const newAsset = (value: unknown): Asset => textAsset(JSON.stringify(value));

/** The asset, or 304 when the client has it. */
export const assetAnswer = ({ text, etag }: Asset, ifNoneMatch: string | undefined): Answer =>
  notModified(etag, ifNoneMatch) ?? { body: text, headers: assetHeaders(etag) };

/** 304 when the client has what bears this tag, else undefined. */
export const notModified = (etag: string, ifNoneMatch: string | undefined): Answer | undefined =>
  ifNoneMatches(ifNoneMatch, etag) ? { status: 304, headers: assetHeaders(etag) } : undefined;

export const assetHeaders = (etag: string): Readonly<Record<string, string>> => ({
  ETag: etag,
  'Cache-Control': 'public, max-age=300',
});
