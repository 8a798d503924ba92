import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { type ImpersonatedIdentity, impersonationHeaders } from './impersonation.ts';

/** A framed body's own headers, and those that would change what was authorised, have no place after it (RFC 9110 §6.5.1). */
const neverTrailing = /^(?:content-.*|range|if-.*|max-forwards|cache-control|pragma|sec-.*)$/;

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

/** A browser's way to send a bearer token to an API server with a WebSocket: a credential like any other. */
const bearerProtocol = /^base64url\.bearer\.authorization\.k8s\.io\./i;

/** Host of every request into a cluster: the API server's certificate and its logs know this name. */
export const clusterAuthority = 'kubernetes.default.svc';

/** Headers of the request into the cluster. `path`: with its query. `identity`: whom we vouch for; what the client says of itself never passes. */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  { method, path, identity }: { method: string; path: string; identity?: ImpersonatedIdentity | undefined },
): OutgoingHttpHeaders {
  return {
    ':method': method,
    ':scheme': 'https',
    ':authority': clusterAuthority,
    ':path': path,
    ...own(headers),
    // Of the TE header only this says something that holds for the whole way (RFC 9113 §8.2.2).
    ...(/(?:^|,)\s*trailers\s*(?:,|$)/i.test([headers.te].flat().join()) ? { te: 'trailers' } : {}),
    ...announced(headers),
    // The cluster says when it wants the body; the other expectations are answered 417 by Node.
    ...(/^100-continue$/i.test(headers.expect ?? '') ? { expect: '100-continue' } : {}),
    ...(identity ? impersonationHeaders(identity) : {}),
  };
}

/** Headers of an HTTP/1.1 request for a WebSocket in the cluster. */
export function upgradeHeaders(
  headers: IncomingHttpHeaders,
  identity: ImpersonatedIdentity | undefined,
): Record<string, string | string[]> {
  return {
    host: clusterAuthority,
    connection: 'Upgrade',
    upgrade: 'websocket',
    ...own(headers),
    ...(identity ? impersonationHeaders(identity) : {}),
  };
}

/** What the client says of its request and the cluster may hear. */
function own(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  // Underscores read as hyphens: some servers behind the cluster's own proxies make one of the two.
  const result = kept(headers, (name) => !withheld.test(name.replaceAll('_', '-')));
  const { 'sec-websocket-protocol': protocols, ...rest } = result;
  if (protocols === undefined) return result;
  const harmless = [protocols]
    .flat()
    .flatMap((value) => value.split(','))
    .map((protocol) => protocol.trim())
    .filter((protocol) => !bearerProtocol.test(protocol));
  return harmless.length === 0 ? rest : { ...rest, 'sec-websocket-protocol': harmless.join(', ') };
}

/** Headers of the answer that opens a WebSocket to the client. */
export const switchHeaders = (
  headers: IncomingHttpHeaders,
  { requestId }: { requestId: string },
): Record<string, string | string[]> => ({
  connection: 'Upgrade',
  upgrade: 'websocket',
  ...responseHeaders(headers, { requestId, location: undefined }),
});

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

/** Go keeps only the trailers that were announced, so the announcement passes with them. */
function announced({ trailer }: IncomingHttpHeaders): { trailer?: string } {
  const names = [trailer]
    .flat()
    .flatMap((value) => value?.split(',') ?? [])
    .map((name) => name.trim().toLowerCase())
    .filter((name) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && mayTrail(name));
  return names.length > 0 ? { trailer: names.join(', ') } : {};
}

/** Trailers of a request into the cluster. */
export const requestTrailers = (headers: IncomingHttpHeaders): Record<string, string | string[]> =>
  kept(headers, mayTrail);

const mayTrail = (name: string): boolean =>
  !hopByHop.has(name) && !withheld.test(name.replaceAll('_', '-')) && !neverTrailing.test(name);

/** Headers of an informational answer. */
export const informationHeaders = (headers: IncomingHttpHeaders): Record<string, string | string[]> =>
  kept(headers, (name) => name === 'link');

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
