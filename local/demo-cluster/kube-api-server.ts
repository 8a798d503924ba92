/** The demo cluster's API server: started by main.ts or a test, it listens on 127.0.0.1 and changes only its own memory. */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { JsonObject, KubeObject } from './kube-json.ts';
import { objectAt } from './kube-json.ts';
import { makeServerCertificate } from './kube-api-certificate.ts';
import { discoveryDocument } from './kube-api-discovery.ts';
import { listObjects } from './kube-api-list.ts';
import { PodLogs, serveLog } from './kube-api-log.ts';
import { openApi } from './kube-api-openapi.ts';
import type { ResourcePath } from './kube-api-request.ts';
import {
  contentTypeOf,
  formOf,
  includeObjectOf,
  parseResourcePath,
  readObject,
  readText,
} from './kube-api-request.ts';
import { type Resource, upgraded } from './kube-api-resource.ts';
import { KubeError, noSuchPath } from './kube-api-status.ts';
import { KubeStore } from './kube-api-store.ts';
import { isList, partialOf, tableOf } from './kube-api-table.ts';
import { podUpgrades, refuseUpgrade } from './kube-api-upgrade.ts';
import {
  createObject,
  deleteCollection,
  deleteObject,
  getObject,
  patchObject,
  updateObject,
} from './kube-api-verbs.ts';
import { serveWatch } from './kube-api-watch.ts';

export type KubeApiOptions = {
  store?: KubeStore;
  logs?: PodLogs;
  now?: () => Date;
  /** TCP port on 127.0.0.1; 0 (the default) lets the system choose. */
  port?: number;
  /** What `/version` reports. */
  gitVersion?: string;
  /** A watch without `timeoutSeconds` ends after this many ms (default 45 minutes, as real servers end theirs). */
  watchTimeoutMs?: number;
  /** Between bookmarks, ms; default one minute. */
  bookmarkIntervalMs?: number;
};

export type KubeApi = {
  /** `https://127.0.0.1:port` */
  url: string;
  /** PEM that verifies it */
  ca: string;
  /** The service-account token it asks for, made at start. */
  token: string;
  store: KubeStore;
  logs: PodLogs;
  close: () => Promise<void>;
};

/** Whom the demo's token stands for, in messages. */
const account = 'system:serviceaccount:calico-system:guardian';
const defaultVersion = 'v1.33.5-cattery-demo';

type Call = { request: Http2ServerRequest; response: Http2ServerResponse; url: URL; query: URLSearchParams };

/** Starts the server; it is ready when the promise resolves. */
export async function startKubeApi(options: KubeApiOptions = {}): Promise<KubeApi> {
  const now = options.now ?? (() => new Date());
  const store = options.store ?? new KubeStore({ now });
  const logs = options.logs ?? new PodLogs();
  const gitVersion = options.gitVersion ?? defaultVersion;
  const token = randomBytes(32).toString('base64url');
  const tokenHash = createHash('sha256').update(token).digest();
  const { ca, key, certificate } = await makeServerCertificate(now());
  let address = '';

  function assertAllowed(request: Pick<Http2ServerRequest, 'headers'>): void {
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (!timingSafeEqual(createHash('sha256').update(given).digest(), tokenHash))
      throw new KubeError('Unauthorized', 'Unauthorized');
    const user = request.headers['impersonate-user'];
    if (typeof user === 'string') {
      const message = `users ${JSON.stringify(user)} is forbidden: User "${account}" cannot impersonate resource "users" in API group "" at the cluster scope`;
      throw new KubeError('Forbidden', message, { name: user, kind: 'users' });
    }
    if (Object.keys(request.headers).some((name) => name.startsWith('impersonate-'))) {
      throw new KubeError('BadRequest', 'requested impersonation without impersonating a user');
    }
  }

  function send(
    { request, response }: Call,
    code: number,
    body: JsonObject,
    headers: Record<string, string> = {},
  ): void {
    const text = `${JSON.stringify(body)}\n`;
    response.writeHead(code, {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
      'cache-control': 'no-cache, private',
      'audit-id': randomUUID(),
      ...headers,
    });
    if (request.method === 'HEAD') response.end();
    else response.end(text);
  }

  /** An object, list or Status in the form the client asked for. */
  function render(call: Call, resource: Resource, object: JsonObject, headers = true): JsonObject {
    const form = formOf(call.request.headers.accept);
    const items = isList(object) ? object.items : undefined;
    if (form.as === 'Object' || object.kind === 'Status' || object.kind === 'Scale') return object;
    if (form.as === 'Partial') {
      if (!items) return partialOf(object);
      return { ...partialOf(object), kind: 'PartialObjectMetadataList', items: items.map(partialOf) };
    }
    const metadata = objectAt(object, 'metadata');
    return tableOf(items ?? [object as KubeObject], {
      resource,
      include: includeObjectOf(call.query),
      now: now(),
      version: form.version,
      headers,
      metadata: items ? metadata : { resourceVersion: metadata.resourceVersion },
    });
  }

  async function serveResource(call: Call, path: ResourcePath): Promise<void> {
    const { request, query, response } = call;
    const { resource, name, subresource } = path;
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const answer = ({ code, object }: { code: number; object: JsonObject }) =>
      send(call, code, render(call, resource, object));
    formOf(request.headers.accept);
    if (
      method === 'GET' &&
      subresource === undefined &&
      (query.get('watch') === 'true' || query.get('watch') === '1')
    ) {
      serveWatch({
        store,
        path,
        query,
        response,
        render: (object, first) => render(call, resource, object, first),
        defaultTimeoutMs: options.watchTimeoutMs ?? 45 * 60_000,
        bookmarkIntervalMs: options.bookmarkIntervalMs ?? 60_000,
      });
    } else if (name === undefined) {
      if (method === 'GET') answer({ code: 200, object: listObjects(store, path, query) });
      else if (method === 'POST') answer(createObject(store, path, query, await readObject(request)));
      else if (method === 'DELETE')
        answer(deleteCollection(store, path, query, await readObject(request, 'may be empty')));
      else throw notAllowed();
    } else {
      const named = { ...path, name };
      if (upgraded.includes(subresource ?? '')) throw new KubeError('BadRequest', 'Upgrade request required');
      if (method === 'GET' && subresource === 'log')
        serveLog({ store, logs, path: named, query, response, now: now() });
      else if (subresource === 'log') throw notAllowed();
      else if (method === 'GET') answer(getObject(store, named));
      else if (method === 'PUT') answer(updateObject(store, named, query, await readObject(request)));
      else if (method === 'PATCH') {
        const text = await readText(request);
        answer(patchObject(store, named, query, contentTypeOf(request), text));
      } else if (method === 'DELETE' && subresource === undefined) {
        answer(deleteObject(store, named, query, await readObject(request, 'may be empty')));
      } else throw notAllowed();
    }
  }

  async function serve(call: Call): Promise<void> {
    const { request, url } = call;
    assertAllowed(request);
    const path = url.pathname;
    const found = discoveryDocument(path, request.headers.accept, address);
    const document =
      found?.body ??
      (path === '/version' ? versionDocument(gitVersion) : undefined) ??
      (path === '/openapi/v3' || path.startsWith('/openapi/v3/')
        ? openApi(path.slice('/openapi/v3/'.length))
        : undefined);
    if (document) {
      if (request.method !== 'GET' && request.method !== 'HEAD') throw notAllowed();
      send(call, 200, document, { vary: 'Accept', ...(found?.type ? { 'content-type': found.type } : {}) });
      return;
    }
    const segments = decodeSegments(path);
    if (segments[0] === 'api')
      await serveResource(call, parseResourcePath('', segments[1] ?? '', segments.slice(2)));
    else if (segments[0] === 'apis') {
      await serveResource(call, parseResourcePath(segments[1] ?? '', segments[2] ?? '', segments.slice(3)));
    } else throw noSuchPath();
  }

  function fail(call: Call, error: unknown): void {
    if (call.response.headersSent) {
      call.response.destroy();
      return;
    }
    const known = knownError(error);
    send(call, known.code, known.toStatus());
  }

  // Node's HTTP/1 and HTTP/2 objects share all that is used here (the http2 compatibility API).
  const server = createSecureServer({ key, cert: certificate, allowHTTP1: true }, (request, response) => {
    const url = new URL(request.url, 'https://demo.invalid');
    const call = { request, response, url, query: url.searchParams };
    response.on('error', () => undefined);
    serve(call).catch((error: unknown) => fail(call, error));
  });
  const upgrades = podUpgrades({ store, logs });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const url = new URL(request.url ?? '', 'https://demo.invalid');
    try {
      assertAllowed(request);
      const [root, version = '', ...rest] = decodeSegments(url.pathname);
      if (root !== 'api') throw noSuchPath();
      const path = parseResourcePath('', version, rest);
      if (!upgraded.includes(path.subresource ?? '')) throw notAllowed();
      upgrades.serve({ request, socket, head, query: url.searchParams }, path);
    } catch (error) {
      refuseUpgrade(socket, knownError(error));
    }
  });
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.on('secureConnection', (socket: Socket) => {
    sockets.add(socket);
    // HTTP/1.1 over this kind of server has it off: the end of an answer would wait 40 ms for an ACK of its head.
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  address = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url: `https://${address}`,
    ca,
    token,
    store,
    logs,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      upgrades.close();
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const knownError = (error: unknown): KubeError =>
  error instanceof KubeError
    ? error
    : new KubeError('InternalError', 'the demo API server failed on this request');

function notAllowed(): KubeError {
  return new KubeError('MethodNotAllowed', 'the server does not allow this method on the requested resource');
}

function decodeSegments(path: string): string[] {
  try {
    return path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw new KubeError('BadRequest', 'the path is not well encoded');
  }
}

function versionDocument(gitVersion: string): JsonObject {
  const [, major = '1', minor = '0'] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  return {
    major,
    minor,
    gitVersion,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: '',
    platform: 'linux/amd64',
  };
}
