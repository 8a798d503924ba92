import { gunzipSync } from 'node:zlib';
import { Problem } from '../../core/problem/problem.ts';
import { inlineLimits, type ReportLimits, storedLimits } from './report/report-limits.ts';

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
  return plainReport(raw);
}

/**
 * The bytes of a report that may be gzip, told by its first two: PAYLOAD_TOO_LARGE when it is larger than the limits say,
 * of which no more is decompressed; REPORT_MALFORMED for what is not whole.
 */
export function plainReport(raw: Buffer, limits: ReportLimits = inlineLimits): Buffer {
  const body = isGzip(raw) ? decompressed(raw, limits) : raw;
  if (body.length > limits.bytes) throw tooLarge(limits);
  return body;
}

/** RFC 1952 §2.3.1; no JSON text begins so. */
const isGzip = (bytes: Buffer): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

function decompressed(bytes: Buffer, limits: ReportLimits): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: limits.bytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(limits);
    throw new Problem('REPORT_MALFORMED', 'The body is not whole gzip data.');
  }
}

const tooLarge = ({ bytes }: ReportLimits) =>
  new Problem(
    'PAYLOAD_TOO_LARGE',
    `A report may have ${bytes} bytes, decompressed${bytes < storedLimits.bytes ? '; larger ones: POST /v1/scan-uploads' : ''}.`,
  );
