import type { Http2ServerResponse } from 'node:http2';
import type { JsonObject, KubeObject } from './kube-json.ts';
import { selectionOf, versionOf } from './kube-api-list.ts';
import type { ResourcePath } from './kube-api-request.ts';
import { groupVersionOf } from './kube-api-resource.ts';
import { beginStream } from './kube-api-response.ts';
import { KubeError } from './kube-api-status.ts';
import type { Change, KubeStore } from './kube-api-store.ts';

export type WatchOptions = {
  store: KubeStore;
  path: ResourcePath;
  query: URLSearchParams;
  /** How the client wants each object; called with true for the first only (a Table's columns). */
  render: (object: KubeObject, first: boolean) => JsonObject;
  response: Http2ServerResponse;
  /** A watch without `timeoutSeconds` ends after this many ms, as the API server ends it by itself. */
  defaultTimeoutMs: number;
  /** Between bookmarks, for a client that allows them. */
  bookmarkIntervalMs: number;
};

/** Events queued for a watcher that does not read; beyond them its watch is cut. */
const backlogLimit = 1000;

/** Writes lines as fast as the peer takes them, and gives the peer up when it lags too far behind. */
class EventWriter {
  readonly #response: Http2ServerResponse;
  #queue: string[] = [];
  #blocked = false;

  constructor(response: Http2ServerResponse) {
    this.#response = response;
    response.on('drain', () => {
      this.#blocked = false;
      const waiting = this.#queue;
      this.#queue = [];
      for (const line of waiting) this.write(line);
    });
  }

  write(line: string): void {
    if (!this.#blocked) this.#blocked = !this.#response.write(line);
    else if (this.#queue.length < backlogLimit) this.#queue.push(line);
    else this.#response.destroy();
  }

  end(): void {
    for (const line of this.#queue) this.#response.write(line);
    this.#queue = [];
    this.#response.end();
  }
}

function timeoutOf(query: URLSearchParams): number | undefined {
  const given = query.get('timeoutSeconds');
  if (given === null) return undefined;
  if (!/^\d{1,9}$/.test(given))
    throw new KubeError('BadRequest', 'timeoutSeconds must be a whole number, 0 or more');
  return Number(given) === 0 ? undefined : Number(given) * 1000;
}

/**
 * Streams changes as `{"type","object"}` lines until the client leaves, `timeoutSeconds` pass or it falls behind.
 * Without `resourceVersion` (or with 0, or `sendInitialEvents`) it begins with what is there.
 * @throws KubeError before the first byte; a version that is too old is told as an ERROR event, as the API does
 */
export function serveWatch(options: WatchOptions): void {
  const { store, path, query, response, render } = options;
  const selected = selectionOf(path, query);
  const version = versionOf(query);
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  const initial = query.get('sendInitialEvents') === 'true';
  const timeout = Math.min(timeoutOf(query) ?? options.defaultTimeoutMs, 2 ** 31 - 1);
  if (version !== undefined) store.assertNotFuture(version);

  beginStream(response, 'application/json');
  const writer = new EventWriter(response);
  let first = true;
  const emit = (type: string, object: KubeObject) => {
    writer.write(`${JSON.stringify({ type, object: render(object, first) })}\n`);
    first = false;
  };
  const bookmark = (annotations?: JsonObject) =>
    emit('BOOKMARK', {
      kind: path.resource.kind,
      apiVersion: groupVersionOf(path.resource),
      metadata: {
        name: '',
        resourceVersion: String(store.version),
        ...(annotations ? { annotations } : {}),
      },
    });
  const emitChange = (change: Change) => {
    const was = change.type !== 'ADDED' && change.before !== undefined && selected(change.before);
    const is = change.type !== 'DELETED' && selected(change.object);
    if (is) emit(was ? 'MODIFIED' : 'ADDED', change.object);
    else if (was) emit('DELETED', change.object);
  };

  if (version === undefined || version === 0 || initial) {
    for (const object of store.list(path.resource, path.namespace))
      if (selected(object)) emit('ADDED', object);
    if (initial && bookmarks) bookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    try {
      for (const change of store.since(path.resource, version)) emitChange(change);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      writer.write(`${JSON.stringify({ type: 'ERROR', object: error.toStatus() })}\n`);
      writer.end();
      return;
    }
  }

  const unsubscribe = store.subscribe(path.resource, emitChange);
  const ticker = bookmarks ? setInterval(bookmark, options.bookmarkIntervalMs) : undefined;
  const deadline = setTimeout(() => {
    if (bookmarks) bookmark();
    writer.end();
  }, timeout);
  response.on('close', () => {
    unsubscribe();
    clearInterval(ticker);
    clearTimeout(deadline);
  });
}
