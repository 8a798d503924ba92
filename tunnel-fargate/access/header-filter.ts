import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';

/** Of one connection only (RFC 9110 §7.6.1), beside those that the Connection header names. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Never passed into a cluster: credentials for us, identities nobody here vouches for, who asked from where, and another method than the one authorised. */
const withheld =
  /^(?:authorization|cookie2?|forwarded|via|host|expect|x-real-ip|true-client-ip|impersonate-.*|proxy-.*|x-forwarded-.*|x-remote-.*|x-original-.*|x-http-method.*|x-method-override|x-amz-.*|x-amzn-.*)$/;

/** Never passed out of a cluster: what would act on our origin, or speaks of a connection the client does not have. */
const keptInside =
  /^(?:set-cookie2?|strict-transport-security|alt-svc|clear-site-data|content-location|public-key-pins.*|access-control-.*|proxy-.*|www-authenticate|via|server|x-powered-by)$/;

/** Host of every request into a cluster: the API server's certificate and its logs know this name. */
export const clusterAuthority = 'kubernetes.default.svc';

/** Headers of the request into the cluster. `path`: with its query. */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  { method, path }: { method: string; path: string },
): OutgoingHttpHeaders {
  return {
    ':method': method,
    ':scheme': 'https',
    ':authority': clusterAuthority,
    ':path': path,
    // Underscores read as hyphens: some servers behind the cluster's own proxies make one of the two.
    ...kept(headers, (name) => !withheld.test(name.replaceAll('_', '-'))),
    // Of the TE header only this says something that holds for the whole way (RFC 9113 §8.2.2).
    ...(/(?:^|,)\s*trailers\s*(?:,|$)/i.test([headers.te].flat().join()) ? { te: 'trailers' } : {}),
  };
}

/** Headers of the answer to the client. `location`: already rewritten, undefined to drop it. */
export function responseHeaders(
  headers: IncomingHttpHeaders,
  { requestId, location }: { requestId: string; location: string | undefined },
): Record<string, string | string[]> {
  return {
    'cache-control': 'no-store',
    ...kept(headers, (name) => name !== 'location' && !keptInside.test(name)),
    ...(location === undefined ? {} : { location }),
    'x-content-type-options': 'nosniff',
    'x-request-id': requestId,
  };
}

/** Trailers of an answer; pseudo-headers and what belongs to one connection have no place there. */
export const responseTrailers = (headers: IncomingHttpHeaders): Record<string, string | string[]> =>
  kept(headers, (name) => !keptInside.test(name));

function kept(
  headers: IncomingHttpHeaders,
  keep: (name: string) => boolean,
): Record<string, string | string[]> {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const result: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(':') || hopByHop.has(name) || named.has(name)) continue;
    if (keep(name)) result[name] = value;
  }
  return result;
}

/**
 * Where a redirect of the cluster's API server leads, seen from outside; undefined when it leads anywhere else than
 * to the Kubernetes API of the same cluster. `prefix`: `/clusters/{clusterId}`.
 */
export function outerLocation(location: string, prefix: string, requestPath: string): string | undefined {
  const base = `https://${clusterAuthority}`;
  if (!URL.canParse(location, base + requestPath)) return undefined;
  const url = new URL(location, base + requestPath);
  if (url.origin !== base || !/^\/apis?(?:\/|$)/.test(url.pathname)) return undefined;
  return `${prefix}${url.pathname}${url.search}`;
}
