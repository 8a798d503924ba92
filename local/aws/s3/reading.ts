import type { IncomingHttpHeaders } from 'node:http';
import { AwsError } from '../aws-error.ts';
import type { ObjectVersion } from './object-file.ts';

export type Span = { start: number; end: number };

/** One byte range; undefined: the whole object (no range, several, or none that is well formed). Throws InvalidRange (416). */
export function byteRange(header: string | undefined, size: number): Span | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === undefined || to === undefined || (from === '' && to === '')) return undefined;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined;
  if (start >= size || (from === '' && Number(to) === 0)) {
    throw new AwsError('InvalidRange', 'The requested range is not satisfiable', 416, {
      headers: { 'content-range': `bytes */${size}` },
    });
  }
  return { start, end };
}

/** `not-modified`: answer 304. Throws PreconditionFailed (412). By RFC 9110, 13.2.2, a date counts only where no ETag is given. */
export function readCondition(
  headers: IncomingHttpHeaders,
  version: ObjectVersion,
): 'modified' | 'not-modified' {
  const modified = Math.floor(version.lastModified / 1000) * 1000;
  const since = Date.parse(headers['if-modified-since'] ?? '');
  const until = Date.parse(headers['if-unmodified-since'] ?? '');
  const match = headers['if-match'];
  const none = headers['if-none-match'];
  if (match !== undefined ? !names(match, version.etag) : modified > until) {
    throw new AwsError(
      'PreconditionFailed',
      'At least one of the pre-conditions you specified did not hold',
      412,
    );
  }
  if (none !== undefined ? names(none, version.etag) : modified <= since) return 'not-modified';
  return 'modified';
}

const names = (list: string, etag: string): boolean =>
  list.split(',').some((one) => ['*', etag].includes(one.trim().replace(/^W\//, '').replaceAll('"', '')));
