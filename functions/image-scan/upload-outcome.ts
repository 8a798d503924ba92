import { gunzipSync, gzipSync } from 'node:zlib';
import type { ScanUpload, UploadProblem } from '../../core/image/scan-upload-schema.ts';
import { type Problem, problemBody } from '../../core/problem/problem.ts';
import { fewer, withFewerFindings } from './fewer-findings.ts';

export type UploadResult = NonNullable<ScanUpload['result']>;

/** Most bytes that a result takes in its item (DynamoDB: 400 KB an item). */
const maxBytes = 300 * 1024;
/** How much of the name of an image that is not stored is kept when all else is left out. */
const shortName = 100;

/**
 * A result as its item keeps it: gzip of JSON. One about many images may be too large for that; then it shows fewer
 * findings of each reason (the totals stay), which GET /v1/images/{digest} shows.
 */
export function encodeResult(result: UploadResult): Uint8Array {
  for (const findings of fewer) {
    const bytes = gzipSync(JSON.stringify(withFewerFindings(result, findings)));
    if (bytes.length <= maxBytes) return bytes;
  }
  const short = withFewerFindings(result, 0);
  return gzipSync(
    JSON.stringify('skipped' in short ? { ...short, skipped: short.skipped.map(shortened) } : short),
  );
}

export const decodeResult = (bytes: Uint8Array): UploadResult =>
  JSON.parse(gunzipSync(bytes).toString('utf8')) as UploadResult;

const shortened = <S extends { image?: string | undefined }>(skipped: S): S =>
  skipped.image === undefined ? skipped : { ...skipped, image: skipped.image.slice(0, shortName) };

/** What a request would have been answered, without what belongs to a request alone. */
export function uploadProblem(problem: Problem): UploadProblem {
  const { code, title, detail, errors } = problemBody(problem, '');
  return {
    code,
    title,
    ...(detail === undefined ? {} : { detail }),
    ...(errors === undefined ? {} : { errors: [...errors] }),
  };
}
