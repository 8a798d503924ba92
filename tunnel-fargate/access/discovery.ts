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
type Roots = {
  readonly core: z.infer<typeof eitherVersions>;
  readonly groups: z.infer<typeof eitherGroups>;
};
type Known = ClusterDiscovery & {
  readonly checkedAt: number;
  readonly roots: Roots;
  readonly rootBytes: number;
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
/** Older ones are answered all the same, and renewed behind the answer; beyond this they are asked for first. */
const rememberedMs = 12 * 60 * 60_000;
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
 * Guardian passes `/api/` and `/apis/` only. API servers give the aggregated form at the first and not at the second, so a
 * first look costs two requests and one for each group-version but the core's (about 24 on a usual cluster), six at a
 * time. Whoever comes within 5 s shares it; after that a look costs the two roots, and group-versions that are new:
 * those of more than 5 minutes ago are answered from memory and renewed behind the answer, so that a kind that somebody
 * else adds to a known group-version is seen by the second look after that at the latest.
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
    const roots = { core: core.document, groups: groups.document };
    const rootBytes = core.bytes + groups.bytes;
    const unsettled = this.#isUnsettled(link.clusterId);
    const versions = new Map<string, KnownVersion>();
    const missing: string[] = [];
    const aged: string[] = [];
    for (const name of wantedVersions(roots)) {
      const old = before?.versions.get(name);
      const age = old && !unsettled ? this.#now() - old.fetchedAt : Infinity;
      if (!old || age >= rememberedMs) missing.push(name);
      else {
        versions.set(name, old);
        if (age >= versionMs) aged.push(name);
      }
    }
    await this.#fetch(link, missing, versions, rootBytes);
    const known = knownOf(roots, rootBytes, versions, startedAt);
    this.#keep(link.clusterId, known);
    if (aged.length > 0) void this.#renew(link, known, aged);
    return known;
  }

  /**
   * Fetches these group-versions into the map, some at a time. A cluster whose documents are too large is asked for no
   * more, nor one that lets us wait for most of them: the rest is marked stale.
   */
  async #fetch(
    link: ClusterLink,
    names: readonly string[],
    versions: Map<string, KnownVersion>,
    rootBytes: number,
  ): Promise<void> {
    const missing = [...names];
    let bytes = bytesOf(rootBytes, versions);
    const lateAt = this.#now() + 2 * this.#timeoutMs;
    const worker = async () => {
      for (let next = missing.shift(); next !== undefined; next = missing.shift()) {
        const isOver = bytes > this.#maxClusterBytes || this.#now() >= lateAt;
        const version = isOver ? stale(next) : await this.#version(link, next);
        bytes += version.bytes;
        versions.set(next, version);
      }
    };
    await Promise.all(Array.from({ length: parallel }, worker));
  }

  /** Asks again for what was answered from memory, while nobody waits; what does not answer stays as it was. Never rejects. */
  async #renew(link: ClusterLink, known: Known, names: readonly string[]): Promise<void> {
    const fresh = new Map<string, KnownVersion>();
    await this.#fetch(link, names, fresh, known.rootBytes);
    // Somebody has looked, or changed what is served, since.
    if (this.#known.get(link.clusterId) !== known) return;
    const versions = new Map(known.versions);
    for (const [name, version] of fresh) {
      if (version.version.freshness === 'Current') versions.set(name, version);
    }
    this.#keep(link.clusterId, knownOf(known.roots, known.rootBytes, versions, known.checkedAt));
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

/** The group-versions that the roots name; none of a root that says all by itself. */
function wantedVersions({ core, groups }: Roots): string[] {
  return [
    ...(core.kind === 'APIVersions' ? core.versions : []),
    ...(groups.kind === 'APIGroupList'
      ? groups.groups.flatMap((group) =>
          versionsByPreference(group).map((version) => `${group.name}/${version}`),
        )
      : []),
  ].slice(0, maxVersions);
}

const bytesOf = (rootBytes: number, versions: ReadonlyMap<string, KnownVersion>): number =>
  [...versions.values()].reduce((sum, { bytes }) => sum + bytes, rootBytes);

function knownOf(
  roots: Roots,
  rootBytes: number,
  versions: ReadonlyMap<string, KnownVersion>,
  checkedAt: number,
): Known {
  const { core, groups } = roots;
  const ofVersion = (name: string): VersionDiscovery[] => {
    const found = versions.get(name);
    return found ? [found.version] : [];
  };
  return {
    checkedAt,
    roots,
    rootBytes,
    versions,
    bytes: bytesOf(rootBytes, versions),
    core:
      core.kind === 'APIVersions'
        ? [{ metadata: { name: '' }, versions: core.versions.flatMap(ofVersion) }]
        : core.items,
    groups:
      groups.kind === 'APIGroupList'
        ? groups.groups.map((group) => ({
            metadata: { name: group.name },
            versions: versionsByPreference(group).flatMap((version) => ofVersion(`${group.name}/${version}`)),
          }))
        : groups.items,
  };
}

/** As the API server itself marks a version whose server is away. Asked for again at the next look. */
const stale = (name: string): KnownVersion => ({
  fetchedAt: -Infinity,
  bytes: 0,
  version: { version: name.slice(name.indexOf('/') + 1), resources: [], freshness: 'Stale' },
});
