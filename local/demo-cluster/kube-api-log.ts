import type { Http2ServerResponse } from 'node:http2';
import { objectAt, textAt } from './kube-json.ts';
import type { ResourcePath } from './kube-api-request.ts';
import { beginStream } from './kube-api-response.ts';
import { KubeError } from './kube-api-status.ts';
import type { KubeStore } from './kube-api-store.ts';

type Line = { at: Date; text: string };
type Follower = (line: Line) => void;

/** What the containers of the demo "wrote": the latest lines of each pod, and who follows them. */
export class PodLogs {
  readonly #lines = new Map<string, Line[]>();
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #limit: number;

  /** @param limit lines kept per pod */
  constructor(limit = 1000) {
    this.#limit = limit;
  }

  append(namespace: string, pod: string, line: Line): void {
    const key = `${namespace}/${pod}`;
    const lines = this.#lines.get(key) ?? [];
    lines.push(line);
    if (lines.length > this.#limit) lines.shift();
    this.#lines.set(key, lines);
    for (const follower of this.#followers.get(key) ?? []) follower(line);
  }

  linesOf(namespace: string, pod: string): Line[] {
    return [...(this.#lines.get(`${namespace}/${pod}`) ?? [])];
  }

  forget(namespace: string, pod: string): void {
    this.#lines.delete(`${namespace}/${pod}`);
  }

  follow(namespace: string, pod: string, follower: Follower): () => void {
    const key = `${namespace}/${pod}`;
    const followers = this.#followers.get(key) ?? new Set();
    followers.add(follower);
    this.#followers.set(key, followers);
    return () => {
      followers.delete(follower);
      if (followers.size === 0 && this.#followers.get(key) === followers) this.#followers.delete(key);
    };
  }
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const given = query.get(name);
  if (given === null) return undefined;
  if (!/^\d{1,9}$/.test(given))
    throw new KubeError('BadRequest', `${name} must be a whole number, 0 or more`);
  return Number(given);
}

/** The lines a `…/log` query selects and how each is written (`timestamps`), `limitBytes` not yet applied. */
function selectLines(
  lines: Line[],
  query: URLSearchParams,
  now: Date,
): { text: string[]; write: (line: Line) => string } {
  const tail = wholeNumber(query, 'tailLines');
  const seconds = wholeNumber(query, 'sinceSeconds');
  const sinceTime = query.get('sinceTime');
  const from =
    seconds !== undefined ? now.getTime() - seconds * 1000 : sinceTime === null ? 0 : Date.parse(sinceTime);
  if (Number.isNaN(from)) throw new KubeError('BadRequest', 'sinceTime must be an RFC 3339 time');
  const write = (line: Line) =>
    query.get('timestamps') === 'true' ? `${line.at.toISOString()} ${line.text}\n` : `${line.text}\n`;
  const recent = lines.filter((line) => line.at.getTime() >= from);
  const chosen = tail === undefined ? recent : recent.slice(Math.max(0, recent.length - tail));
  return { text: chosen.map(write), write };
}

/** `limitBytes` of the query, or undefined. */
function byteLimit(query: URLSearchParams): number | undefined {
  return wholeNumber(query, 'limitBytes');
}

export type LogRequest = {
  store: KubeStore;
  logs: PodLogs;
  path: ResourcePath & { name: string };
  query: URLSearchParams;
  response: Http2ServerResponse;
  now: Date;
};

/** `GET …/pods/{name}/log`, with `follow=true` until the pod or the reader is gone. @throws KubeError before the first byte */
export function serveLog(request: LogRequest): void {
  const { store, logs, path, response, query, now } = request;
  const pod = store.get(path.resource, path.namespace, path.name);
  const namespace = path.namespace ?? '';
  const known = objectAt(pod, 'spec').containers;
  const names = Array.isArray(known) ? known.map((entry) => textAt(entry, 'name')) : [];
  const container = query.get('container') ?? names[0] ?? '';
  if (!names.includes(container)) {
    throw new KubeError('BadRequest', `container ${container} is not valid for pod ${path.name}`);
  }
  const { text, write } = selectLines(logs.linesOf(namespace, path.name), query, now);
  let left = byteLimit(query) ?? Infinity;
  const put = (line: string) => {
    const bytes = Buffer.from(line).subarray(0, left);
    left -= bytes.length;
    const flowing = response.write(bytes);
    if (left <= 0) response.end();
    return flowing;
  };
  beginStream(response, 'text/plain');
  for (const line of text) if (left > 0) put(line);
  if (query.get('follow') !== 'true' || query.get('previous') === 'true') {
    response.end();
    return;
  }
  // A follower that does not read is cut off rather than kept in memory.
  let lagging = 0;
  response.on('drain', () => (lagging = 0));
  const stop = logs.follow(namespace, path.name, (line) => {
    if (left > 0 && !put(write(line)) && ++lagging > 1000) response.destroy();
  });
  const gone = store.subscribe(path.resource, ({ type, object }) => {
    if (type === 'DELETED' && object.metadata.uid === pod.metadata.uid) response.end();
  });
  response.on('close', () => {
    stop();
    gone();
  });
}
