import { KubeError } from './kube-api-status.ts';

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
export function selectLines(
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
export function byteLimit(query: URLSearchParams): number | undefined {
  return wholeNumber(query, 'limitBytes');
}
