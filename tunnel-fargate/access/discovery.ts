import type { ClusterLink } from '../agent/cluster-link.ts';
import { clusterDocument } from './cluster-document.ts';
import {
  aggregatedList,
  aggregatedMediaType,
  apiGroupList,
  apiResourceList,
  apiVersions,
  type GroupDiscovery,
  resourcesOf,
  type VersionDiscovery,
  versionsByPreference,
} from './discovery-document.ts';
import * as z from 'zod';

/** What a cluster serves: the core group (`/api`) and all others (`/apis`). */
export type ClusterDiscovery = {
  readonly core: readonly GroupDiscovery[];
  readonly groups: readonly GroupDiscovery[];
};

type KnownVersion = {
  readonly fetchedAt: number;
  readonly bytes: number;
  readonly version: VersionDiscovery;
};
type Known = ClusterDiscovery & {
  readonly checkedAt: number;
  /** By `v1` or `group/version`. */
  readonly versions: ReadonlyMap<string, KnownVersion>;
  readonly bytes: number;
};

type Options = {
  readonly now: () => number;
  /** ms for each document. */
  readonly timeoutMs?: number;
  /** All clusters' documents together; the least recently used go. Text length, about a third of their memory. */
  readonly maxBytes?: number;
  /** Of one cluster: past it, what has not been asked yet is not asked. A cluster must not fill the memory of all. */
  readonly maxClusterBytes?: number;
};

/** The whole answer holds this long, so that a client that asks for both roots at once costs one look. */
const settledMs = 5_000;
/** Then the list of groups is asked for again; the resources of a group-version hold this long. */
const versionMs = 5 * 60_000;
/** After a change of what a cluster serves nothing is remembered for a while: a new kind takes seconds to be served. */
const unsettledMs = 30_000;
/** At a time, of one cluster: a tunnel is also there for others. */
const parallel = 6;
const maxVersions = 1_000;

const preferAggregated = [aggregatedMediaType('v2'), aggregatedMediaType('v2beta1'), 'application/json'].join(
  ',',
);
const eitherVersions = z.union([aggregatedList, apiVersions]);
const eitherGroups = z.union([aggregatedList, apiGroupList]);

/**
 * What each cluster serves, made from its discovery documents and remembered.
 *
 * Guardian passes `/api/` and `/apis/` only, where API servers do not give the aggregated form, so a first look costs
 * one request for each group-version and two (about 30 on a usual cluster), six at a time. Whoever comes within 5 s
 * shares it; within 5 minutes only the two roots are asked again, and group-versions that are new. A cluster that
 * answers a root in the aggregated form is believed: then one request is enough.
 */
export class Discovery {
  readonly #now: () => number;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;
  readonly #maxClusterBytes: number;
  /** In the order of use. */
  readonly #known = new Map<string, Known>();
  readonly #looking = new Map<string, Promise<Known>>();
  readonly #unsettledUntil = new Map<string, number>();
  #bytes = 0;

  constructor({
    now,
    timeoutMs = 15_000,
    maxBytes = 32 * 1024 * 1024,
    maxClusterBytes = 16 * 1024 * 1024,
  }: Options) {
    this.#now = now;
    this.#timeoutMs = timeoutMs;
    this.#maxBytes = maxBytes;
    this.#maxClusterBytes = maxClusterBytes;
  }

  /** Rejects with Problem when a root does not answer; a group-version that does not is marked `Stale`. */
  async of(link: ClusterLink): Promise<ClusterDiscovery> {
    const { clusterId } = link;
    const known = this.#known.get(clusterId);
    if (known && this.#now() < known.checkedAt + settledMs && !this.#isUnsettled(clusterId)) {
      this.#keep(clusterId, known);
      return known;
    }
    let looking = this.#looking.get(clusterId);
    if (!looking) {
      looking = this.#look(link, known).finally(() => this.#looking.delete(clusterId));
      this.#looking.set(clusterId, looking);
    }
    return looking;
  }

  /** Somebody changes what the cluster serves (a CustomResourceDefinition, an APIService). */
  changed(clusterId: string): void {
    this.#drop(clusterId);
    this.#unsettledUntil.delete(clusterId);
    this.#unsettledUntil.set(clusterId, this.#now() + unsettledMs);
    for (const [id, until] of this.#unsettledUntil) {
      if (until > this.#now()) break;
      this.#unsettledUntil.delete(id);
    }
  }

  async #look(link: ClusterLink, before: Known | undefined): Promise<Known> {
    const startedAt = this.#now();
    const [core, groups] = await Promise.all([
      clusterDocument(link, '/api/', {
        schema: eitherVersions,
        accept: preferAggregated,
        timeoutMs: this.#timeoutMs,
      }),
      clusterDocument(link, '/apis/', {
        schema: eitherGroups,
        accept: preferAggregated,
        timeoutMs: this.#timeoutMs,
      }),
    ]);
    const versions = new Map<string, KnownVersion>();
    const wanted = [
      ...(core.document.kind === 'APIVersions' ? core.document.versions : []),
      ...(groups.document.kind === 'APIGroupList'
        ? groups.document.groups.flatMap((group) =>
            versionsByPreference(group).map((version) => `${group.name}/${version}`),
          )
        : []),
    ].slice(0, maxVersions);
    const missing = [...wanted];
    let bytes = core.bytes + groups.bytes;
    const worker = async () => {
      for (let next = missing.shift(); next !== undefined; next = missing.shift()) {
        const old = before?.versions.get(next);
        const fresh = old && this.#now() < old.fetchedAt + versionMs && !this.#isUnsettled(link.clusterId);
        const isFull = bytes > this.#maxClusterBytes;
        const version = fresh ? old : isFull ? stale(next) : await this.#version(link, next);
        bytes += version.bytes;
        versions.set(next, version);
      }
    };
    await Promise.all(Array.from({ length: parallel }, worker));

    const ofVersion = (name: string): VersionDiscovery[] => {
      const found = versions.get(name);
      return found ? [found.version] : [];
    };
    const known: Known = {
      checkedAt: startedAt,
      versions,
      bytes,
      core:
        core.document.kind === 'APIVersions'
          ? [{ metadata: { name: '' }, versions: core.document.versions.flatMap(ofVersion) }]
          : core.document.items,
      groups:
        groups.document.kind === 'APIGroupList'
          ? groups.document.groups.map((group) => ({
              metadata: { name: group.name },
              versions: versionsByPreference(group).flatMap((version) =>
                ofVersion(`${group.name}/${version}`),
              ),
            }))
          : groups.document.items,
    };
    this.#keep(link.clusterId, known);
    return known;
  }

  /** `name`: `v1` or `group/version`. Never rejects: one aggregated API that is down must not hide all others. */
  async #version(link: ClusterLink, name: string): Promise<KnownVersion> {
    const slash = name.indexOf('/');
    const path = `/${slash < 0 ? 'api' : 'apis'}/${name.split('/').map(encodeURIComponent).join('/')}`;
    try {
      const { document, bytes } = await clusterDocument(link, path, {
        schema: apiResourceList,
        accept: 'application/json',
        timeoutMs: this.#timeoutMs,
      });
      const resources = resourcesOf(document);
      const version = name.slice(slash + 1);
      return { fetchedAt: this.#now(), bytes, version: { version, resources, freshness: 'Current' } };
    } catch {
      return stale(name);
    }
  }

  #isUnsettled(clusterId: string): boolean {
    return this.#now() < (this.#unsettledUntil.get(clusterId) ?? -Infinity);
  }

  #keep(clusterId: string, known: Known): void {
    this.#drop(clusterId);
    this.#known.set(clusterId, known);
    this.#bytes += known.bytes;
    for (const oldest of this.#known.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(clusterId: string): void {
    this.#bytes -= this.#known.get(clusterId)?.bytes ?? 0;
    this.#known.delete(clusterId);
  }
}

/** As the API server itself marks a version whose server is away. Asked for again at the next look. */
const stale = (name: string): KnownVersion => ({
  fetchedAt: -Infinity,
  bytes: 0,
  version: { version: name.slice(name.indexOf('/') + 1), resources: [], freshness: 'Stale' },
});
