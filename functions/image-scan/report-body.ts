import { gunzipSync } from 'node:zlib';
import { Problem } from '../../core/problem/problem.ts';

/** Largest report taken inline, bytes after decompression: Lambda's event holds 6 MB, escaped (larger ones will be presigned uploads). */
export const maxReportBytes = 4 * 1024 * 1024;

/**
 * The bytes of a report. The gateway has decompressed them already; a front that does not is met here, with the same
 * limit on what comes out. Media type: JSON, or none said.
 */
export function readReportBody(raw: Buffer, header: (name: string) => string | undefined): Buffer {
  const type = header('content-type');
  if (type !== undefined && !/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new Problem(
      'UNSUPPORTED_MEDIA_TYPE',
      'A report is application/json (curl: -H "Content-Type: application/json").',
    );
  }
  const body = isGzip(raw) ? decompressed(raw) : raw;
  if (body.length > maxReportBytes) throw tooLarge();
  return body;
}

/** RFC 1952 §2.3.1; no JSON text begins so. */
const isGzip = (bytes: Buffer): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

function decompressed(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxReportBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw new Problem('REPORT_MALFORMED', 'The body is not whole gzip data.');
  }
}

const tooLarge = () =>
  new Problem('PAYLOAD_TOO_LARGE', `A report may have ${maxReportBytes} bytes, decompressed.`);
