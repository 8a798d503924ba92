import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import * as z from 'zod';
import type { KubeApi } from './kube-api.ts';

const collection = '/api/v1/namespaces';
const namespace = z.object({
  metadata: z.object({
    name: z.string(),
    resourceVersion: z.string().optional(),
    labels: z.record(z.string(), z.string()).nullish(),
  }),
});
type Namespace = z.infer<typeof namespace>;
const list = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  items: z.array(namespace),
});
const changed = z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED']), object: namespace });
const bookmark = z.object({
  type: z.literal('BOOKMARK'),
  object: z.object({ metadata: z.object({ resourceVersion: z.string() }) }),
});

export type NamespaceLabels = Readonly<Record<string, string>>;

/** API servers end a watch by this time; then it is begun anew where it was. */
const watchSeconds = 300;
/** A bookmark comes about every minute: after three without one, labels that were seen may be old. */
const freshMs = 180_000;
const [firstPauseMs, longestPauseMs] = [1_000, 30_000];

type Dependencies = {
  readonly kube: Pick<KubeApi, 'read' | 'watch'>;
  readonly logger: Pick<Logger, 'warn'>;
  readonly now: () => number;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
};

/**
 * The labels of the cluster's namespaces, which a review does not carry: held by a watch, and asked for one by one where
 * that has not seen them or is broken.
 */
export class Namespaces {
  readonly #deps: Dependencies;
  #labels = new Map<string, NamespaceLabels>();
  #heardAt = -Infinity;
  readonly #asked = new Map<string, Promise<NamespaceLabels | undefined>>();

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  /** All labels of a namespace; undefined when they cannot be known within `patienceMs`. */
  async labels(name: string, patienceMs: number): Promise<NamespaceLabels | undefined> {
    const isFresh = this.#deps.now() - this.#heardAt < freshMs;
    const seen = isFresh ? this.#labels.get(name) : undefined;
    if (seen) return seen;
    // A review names what the API server has accepted as a name; a path is made of it all the same.
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return undefined;
    const timer = new AbortController();
    const tooLate = delay(patienceMs, undefined, { signal: timer.signal }).catch(() => undefined);
    try {
      return await Promise.race([this.#ask(name), tooLate]);
    } finally {
      timer.abort();
    }
  }

  /** However many reviews wait for it, one question. */
  #ask(name: string): Promise<NamespaceLabels | undefined> {
    const running = this.#asked.get(name);
    if (running) return running;
    const asked = this.#deps.kube
      .read(`${collection}/${name}`)
      .then((found) => (found === undefined ? undefined : labelsOf(namespace.parse(found))))
      .catch((error: unknown) => {
        this.#deps.logger.warn(
          { event: 'namespace-unknown', err: error },
          'the labels of a namespace cannot be read',
        );
        return undefined;
      })
      .finally(() => this.#asked.delete(name));
    this.#asked.set(name, asked);
    return asked;
  }

  /** Holds the labels until `signal` ends it. */
  async watch(signal: AbortSignal): Promise<void> {
    const { logger, random } = this.#deps;
    let pauseMs = firstPauseMs;
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version ??= await this.#list();
        pauseMs = firstPauseMs;
        version = await this.#follow(version, signal);
        // A server that ends each watch at once is not asked without end.
        await delay(firstPauseMs * random(), undefined, { signal }).catch(() => undefined);
      } catch (error) {
        if (isAborted(signal)) return;
        version = undefined;
        logger.warn({ event: 'namespaces-unwatched', err: error }, 'the namespaces are not watched for now');
        await delay(pauseMs * (0.5 + random()), undefined, { signal }).catch(() => undefined);
        pauseMs = Math.min(2 * pauseMs, longestPauseMs);
      }
    }
  }

  async #list(): Promise<string> {
    const { kube, now } = this.#deps;
    const at = now();
    // From the API server's own cache: the watch goes on from wherever that is.
    const found = list.parse(await kube.read(`${collection}?resourceVersion=0`));
    this.#labels = new Map(found.items.map((each) => [each.metadata.name, labelsOf(each)]));
    this.#heardAt = at;
    return found.metadata.resourceVersion;
  }

  /** The version up to which all is known, when the server has ended the watch. Rejects when the list must be read anew. */
  async #follow(from: string, signal: AbortSignal): Promise<string> {
    const { kube, now } = this.#deps;
    let version = from;
    const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=${watchSeconds}&resourceVersion=${encodeURIComponent(version)}`;
    for await (const event of kube.watch(`${collection}?${query}`, { signal, idleMs: freshMs })) {
      const mark = bookmark.safeParse(event);
      const change = mark.success ? undefined : changed.parse(event);
      version = (mark.data ?? change)?.object.metadata.resourceVersion ?? version;
      if (change?.type === 'DELETED') this.#labels.delete(change.object.metadata.name);
      else if (change) this.#labels.set(change.object.metadata.name, labelsOf(change.object));
      this.#heardAt = now();
    }
    return version;
  }
}

const labelsOf = ({ metadata }: Namespace): NamespaceLabels => metadata.labels ?? {};

/** Asked anew: another task aborts it while this one waits. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;
