import type { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';

/** `since`: when the cluster's tunnel ended, epoch ms; undefined: it has never been up, as far as is known. */
export type Route = { kind: 'link'; link: ClusterLink } | { kind: 'absent'; since: number | undefined };

export type RouteOptions = {
  /** How long to wait for a cluster that is reconnecting, ms; default 5000. */
  readonly waitMs?: number;
  /** Aborting rejects with the signal's reason. */
  readonly signal?: AbortSignal;
};

/**
 * Finds the way into a cluster: here, or at a peer (N tasks: the owner's link forwards; with one task only a session
 * of this one). Waits while the cluster is reconnecting. Rejects with Problem UNAVAILABLE when the directory does not answer.
 */
export interface Router {
  route(clusterId: string, options?: RouteOptions): Promise<Route>;
}

/** The live sessions of this task. */
export type LocalLinks = {
  get(clusterId: string): ClusterLink | undefined;
  /** Whether the cluster was cut off here because its certificate was revoked: it will not come back with that one. */
  wasRevoked(clusterId: string): boolean;
  /** When its last tunnel here ended, epoch ms, if it is known. */
  endedAt(clusterId: string): number | undefined;
  /** The link once it is there; undefined after `ms`; rejects with the signal's reason. */
  waitFor(clusterId: string, ms: number, signal?: AbortSignal): Promise<ClusterLink | undefined>;
};

type Dependencies = {
  readonly links: LocalLinks;
  readonly directory: Pick<TunnelDirectoryRepository, 'locate' | 'lease'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** A tunnel that ended less than this ago counts as reconnecting, ms: Guardian redials within 5 s. */
  readonly recentMs?: number;
};

const defaultWaitMs = 5_000;

/** What the directory says of a cluster that is not connected here. */
type Whereabouts =
  | { readonly kind: 'returning'; readonly since: number }
  | { readonly kind: 'gone'; readonly since: number | undefined };

/**
 * Router of a service with one task. An entry of another task that is alive is that of the task we replace in a
 * rolling restart, or which replaces us: the cluster will come here, so it is waited for. One that was cut off by a
 * revocation is not. While the directory does not answer, what this task saw itself is what counts: a cluster whose
 * tunnel ended here a moment ago is waited for, of all others nobody knows.
 * Units: none for a cluster that is connected here; else 1 read, and 1 more when its entry says connected.
 */
export class OneTaskRouter implements Router {
  readonly #dependencies: Dependencies;

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  async route(clusterId: string, { waitMs = defaultWaitMs, signal }: RouteOptions = {}): Promise<Route> {
    const { links } = this.#dependencies;
    signal?.throwIfAborted();
    const present = links.get(clusterId);
    if (present) return { kind: 'link', link: present };
    const whereabouts = await this.#whereabouts(clusterId);
    // It may have come while the directory was asked.
    const expected = whereabouts.kind === 'returning' && !links.wasRevoked(clusterId);
    const link =
      links.get(clusterId) ?? (expected ? await links.waitFor(clusterId, waitMs, signal) : undefined);
    return link ? { kind: 'link', link } : { kind: 'absent', since: whereabouts.since };
  }

  async #whereabouts(clusterId: string): Promise<Whereabouts> {
    const { links, directory, now, recentMs = 60_000 } = this.#dependencies;
    try {
      const entry = await directory.locate(clusterId);
      if (!entry) return { kind: 'gone', since: undefined };
      let since = entry.since;
      if (entry.state === 'connected') {
        const lease = await directory.lease(entry.taskId);
        // A valid lease: it is connected there, or was cut a moment ago and the entry is about to say so.
        since = Math.min(lease?.validUntil ?? entry.since, now());
      }
      return { kind: now() - since <= recentMs ? 'returning' : 'gone', since };
    } catch (cause) {
      const seen = links.endedAt(clusterId);
      if (seen !== undefined && now() - seen <= recentMs) return { kind: 'returning', since: seen };
      throw new Problem('UNAVAILABLE', 'The directory of tunnels does not answer.', { cause });
    }
  }
}
