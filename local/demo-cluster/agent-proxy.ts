import { createServer as createHttpServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { Agent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';

import { ignoreErrors } from './agent-stream.ts';
import { forwardUpgrade } from './agent-upgrade.ts';
import { flushHeaders } from './kube-api-response.ts';

/** Where the agent finds the cluster's API server. */
export type KubeApiAccess = { url: string; ca: string; token: string };

/** What HTTP/1.1 and HTTP/2 requests have in common here. */
export type ProxyRequest = Readable & {
  method?: string | undefined;
  url?: string | undefined;
  headers: IncomingHttpHeaders;
  httpVersionMajor: number;
};
export type ProxyResponse = Writable & {
  readonly headersSent: boolean;
  writeHead: (status: number, headers: OutgoingHttpHeaders) => unknown;
};

export type ProxyOptions = {
  /** The managed cluster's own certificate and key (PEM): the inner server shows the outer client's certificate. */
  certificate: string;
  key: string;
  kubeApi: KubeApiAccess;
  /** The tunnel server's address, for X-Forwarded-For. */
  serverAddress: () => string;
  /** Answers `/goldmane.Statistics/List`; without it that path is 404. */
  statistics?: ((request: ProxyRequest, response: ProxyResponse) => void) | undefined;
};

export type Proxy = {
  /** Serves a stream that the tunnel server opened. */
  serve: (stream: Duplex) => void;
  close: () => void;
};

const hopByHop = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect'],
]);
const strictTransport = { 'strict-transport-security': 'max-age=63072000; includeSubDomains' };

/** Go's path cleaning: dot segments resolved, empty ones dropped, a trailing slash kept. */
export function cleanPath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const last = path.split('/').at(-1);
  const slash = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${slash ? '/' : ''}`;
}

/** Where Guardian's ServeMux sends a path: to the API server, elsewhere (301), to Statistics, or nowhere (404). */
export function routeOf(
  path: string,
): { to: 'kube-api' | 'statistics' | 'nowhere' } | { to: 'redirect'; location: string } {
  const clean = cleanPath(path);
  const location = clean === '/api' || clean === '/apis' ? `${clean}/` : clean;
  if (location !== path) return { to: 'redirect', location };
  if (path.startsWith('/api/') || path.startsWith('/apis/')) return { to: 'kube-api' };
  return { to: path === '/goldmane.Statistics/List' ? 'statistics' : 'nowhere' };
}

function answer(
  response: ProxyResponse,
  status: number,
  text: string,
  headers: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...strictTransport,
    ...headers,
  });
  response.end(text);
}

function forwardedHeaders(request: ProxyRequest, options: ProxyOptions): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const named = new Set(
    (request.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()),
  );
  for (const [name, value] of Object.entries(request.headers)) {
    if (!name.startsWith(':') && !hopByHop.has(name) && !named.has(name)) headers[name] = value;
  }
  const before = request.headers['x-forwarded-for'];
  headers['x-forwarded-for'] = [
    ...(before === undefined ? [] : [before].flat()),
    options.serverAddress(),
  ].join(', ');
  headers['x-forwarded-host'] = '';
  const authority = request.headers[':authority'];
  headers.host = request.headers.host ?? (typeof authority === 'string' ? authority : '');
  headers.authorization = `Bearer ${options.kubeApi.token}`;
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD';
  if (hasBody && headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked';
  return headers;
}

function responseHeaders(upstream: IncomingMessage): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(upstream.headers))
    if (!hopByHop.has(name)) headers[name] = value;
  return { ...headers, ...strictTransport };
}

/** Guardian's inner side: a TLS server on each stream, and behind it a reverse proxy to the API server. */
export function startProxy(options: ProxyOptions): Proxy {
  const upstreamAgent = new Agent({ keepAlive: true, ca: options.kubeApi.ca, rejectUnauthorized: true });
  const streams = new Set<Duplex>();

  function upstreamOf() {
    const url = new URL(options.kubeApi.url);
    return {
      host: url.hostname,
      port: url.port,
      ca: options.kubeApi.ca,
      rejectUnauthorized: true,
      // Node would take the name to verify from the Host header, which is the caller's.
      servername: isIP(url.hostname) === 0 ? url.hostname : '',
    };
  }

  function forward(request: ProxyRequest, response: ProxyResponse): void {
    const upstream = httpsRequest({
      ...upstreamOf(),
      agent: upstreamAgent,
      method: request.method,
      path: request.url,
      headers: forwardedHeaders(request, options),
    });
    upstream.on('response', (reply) => {
      response.writeHead(reply.statusCode ?? 502, responseHeaders(reply));
      // The first byte of a watch may be minutes away; its status must not wait for it.
      flushHeaders(response);
      pipeline(reply, response, () => undefined);
    });
    upstream.on('error', () => {
      if (response.headersSent) response.destroy();
      else answer(response, 502, '');
    });
    response.on('close', () => upstream.destroy());
    pipeline(request, upstream, () => undefined);
  }

  function handle(request: ProxyRequest, response: ProxyResponse): void {
    response.on('error', () => undefined);
    const target = request.url ?? '/';
    const [path = '/'] = target.split('?', 1);
    const route = routeOf(path);
    if (route.to === 'redirect')
      answer(response, 301, '', { location: route.location + target.slice(path.length) });
    else if (route.to === 'kube-api') forward(request, response);
    else if (route.to === 'statistics' && options.statistics) options.statistics(request, response);
    else answer(response, 404, '404 page not found\n', { 'x-content-type-options': 'nosniff' });
  }

  const http2 = createHttp2Server({ settings: { maxConcurrentStreams: 250 } }, handle);
  http2.on('sessionError', () => undefined);
  // Guardian's TLS loses its read side after the first HTTP/1.1 request of a stream, without saying so in the
  // answer (protocol/guardian.md §2.3): a second request, even a pipelined one, meets the end of the stream.
  const served = new WeakSet();
  const http1 = createHttpServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
    const { socket } = request;
    if (served.has(socket)) return;
    served.add(socket);
    response.removeHeader('connection');
    response.on('finish', () => socket.end());
    handle(request, response);
  });
  http1.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const [path = '/'] = (request.url ?? '/').split('?', 1);
    if (routeOf(path).to !== 'kube-api') {
      socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      return;
    }
    forwardUpgrade(request, socket, head, {
      upstream: upstreamOf(),
      headers: forwardedHeaders(request, options),
      responseHeaders,
    });
  });
  http1.on('clientError', (_error, socket) => socket.destroy());

  // Never listens: a tls.Server runs the handshake on whatever 'connection' brings and hands the result over.
  const tls = createTlsServer({
    key: options.key,
    cert: options.certificate,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2', 'http/1.1'],
  });
  tls.on('tlsClientError', (_error, socket) => socket.destroy());
  tls.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    (socket.alpnProtocol === 'h2' ? http2 : http1).emit('connection', socket);
  });

  function serve(stream: Duplex): void {
    streams.add(stream);
    stream.on('close', () => streams.delete(stream));
    // No half-close: once the server's side ends, Guardian closes its own, whatever was still to be said
    // (with FIN here, or RST where an answer was being written).
    stream.on('end', () => stream.end(() => stream.destroy()));
    tls.emit('connection', stream);
    ignoreErrors(stream);
  }

  return {
    serve,
    close: () => {
      for (const stream of streams) stream.destroy();
      upstreamAgent.destroy();
      http1.close();
      http2.close();
    },
  };
}
