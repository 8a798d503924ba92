import { Problem } from '../../core/problem/problem.ts';

/** What a request on the access port is about, taken apart once; everything later works on this and never on the raw text. */
export type RequestTarget = {
  /** As sent: not checked yet, so that a malformed ID is the same 404 as an absent cluster. */
  readonly clusterId: string;
  /** Segments after `/clusters/{clusterId}`, percent-decoded. */
  readonly segments: readonly string[];
  /** The same path, encoded anew from the segments: the cluster sees exactly what was authorised. */
  readonly path: string;
  /** With its question mark; empty without one. Passed on as it came. */
  readonly query: string;
};

/** Longest request target, in bytes; Kubernetes clients stay far below it. */
export const maxTargetBytes = 8_192;

/** What kubectl asks for where it was refused `/openapi/v2`; it shows the answer to this. */
export const olderOpenApiV2 = 'swagger-2.0.0.pb-v1';
const doors: ReadonlySet<string> = new Set(['api', 'apis', 'version', 'openapi', olderOpenApiV2]);

/** The one gRPC method that Guardian passes on, by this path only (guardian.md §3). */
const grpcMethod = 'goldmane.Statistics/List';

/**
 * Takes `/clusters/{clusterId}/…` apart.
 *
 * Refused with INVALID_REQUEST is whatever a reader further on could take for another path than the one authorised
 * here (RFC 3986 §6.2.2; Go's ServeMux cleans paths, proxies decode twice): dot segments, empty segments, slashes,
 * backslashes, percent signs or control characters that were percent-encoded, broken encodings. Kubernetes itself
 * allows none of these in a name.
 *
 * @throws Problem HEADERS_TOO_LARGE beyond {@link maxTargetBytes}, INVALID_REQUEST, NOT_FOUND for a path that is none of ours
 */
export function parseTarget(target: string): RequestTarget {
  if (target.length > maxTargetBytes) {
    throw new Problem('HEADERS_TOO_LARGE', `The request target is longer than ${maxTargetBytes} bytes.`);
  }
  if (!/^\/[\x21-\x7e]*$/.test(target) || target.includes('#')) {
    throw new Problem('INVALID_REQUEST', 'The request target is not an absolute path.');
  }
  const mark = target.indexOf('?');
  const [rawPath, query] = mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark)];
  if (rawPath === '/') throw new Problem('NOT_FOUND');
  // One slash at the end is Kubernetes' own spelling of the discovery roots; its reader trims it as ours does.
  const trailing = rawPath.length > 1 && rawPath.endsWith('/');
  const segments = (trailing ? rawPath.slice(1, -1) : rawPath.slice(1)).split('/').map(decodeSegment);
  const [first, clusterId, ...inner] = segments;
  const isOurs = doors.has(inner[0] ?? '') || (inner.join('/') === grpcMethod && !trailing && query === '');
  if (first !== 'clusters' || clusterId === undefined || !isOurs) throw new Problem('NOT_FOUND');
  const path = `/${inner.map(encodeSegment).join('/')}${trailing ? '/' : ''}`;
  return { clusterId, segments: inner, path, query };
}

function decodeSegment(segment: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    throw new Problem('INVALID_REQUEST', 'The path is not well encoded.');
  }
  if (decoded === '' && segment === '') {
    throw new Problem('INVALID_REQUEST', 'The path has an empty segment.');
  }
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (decoded === '.' || decoded === '..' || /[\x00-\x1f\x7f/\\%]/.test(decoded)) {
    throw new Problem(
      'INVALID_REQUEST',
      'The path has a dot segment or an encoded slash, backslash, percent or control character.',
    );
  }
  return decoded;
}

/** As Go writes paths: these six stand for themselves in a segment. */
const encodeSegment = (segment: string): string =>
  encodeURIComponent(segment).replace(/%(?:24|26|2B|3A|3D|40)/g, decodeURIComponent);
