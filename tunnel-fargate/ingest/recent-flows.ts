/** One upload that has been stored. */
type StoredUpload = {
  readonly clusterId: string;
  readonly sha256: string;
  readonly identities: readonly string[];
};

type ClusterFlows = {
  readonly uploads: StoredUpload[];
  readonly identities: Set<string>;
  readonly bodies: Set<string>;
};

/**
 * Which flows of a cluster are stored, for the last of its uploads: a sender whose 200 was lost sends again what we
 * have, alone or with other flows. Bounded for the process and for each cluster; the oldest upload is forgotten whole.
 * An identity takes about 72 bytes here (Node 24).
 */
export class RecentFlows {
  readonly #maxFlows: number;
  readonly #maxFlowsPerCluster: number;
  readonly #clusters = new Map<string, ClusterFlows>();
  /** In the order in which they were stored. */
  readonly #uploads = new Set<StoredUpload>();
  #count = 0;

  constructor({ maxFlows = 524_288, maxFlowsPerCluster = 131_072 } = {}) {
    this.#maxFlows = maxFlows;
    this.#maxFlowsPerCluster = maxFlowsPerCluster;
  }

  /** Identities that are remembered. */
  get size(): number {
    return this.#count;
  }

  has(clusterId: string, identity: string): boolean {
    return this.#clusters.get(clusterId)?.identities.has(identity) ?? false;
  }

  /** Whether the whole body with this hash was dealt with, its rejected lines too. */
  hasBody(clusterId: string, sha256: string): boolean {
    return this.#clusters.get(clusterId)?.bodies.has(sha256) ?? false;
  }

  /** Notes what an upload added. `sha256` is that of its body as it came. */
  add(upload: StoredUpload): void {
    const { clusterId, sha256 } = upload;
    // An upload beyond the bound is known by its body alone.
    const kept = upload.identities.length >= this.#maxFlowsPerCluster ? [] : upload.identities;
    const cluster = this.#clusters.get(clusterId) ?? {
      uploads: [],
      identities: new Set(),
      bodies: new Set(),
    };
    this.#clusters.set(clusterId, cluster);
    if (cluster.bodies.has(sha256) && kept.length === 0) return;
    const entry = { clusterId, sha256, identities: kept };
    cluster.uploads.push(entry);
    cluster.bodies.add(sha256);
    for (const identity of kept) cluster.identities.add(identity);
    this.#uploads.add(entry);
    this.#count += weight(entry);
    while (weightOf(cluster) > this.#maxFlowsPerCluster) this.#forget(cluster.uploads[0]);
    while (this.#count > this.#maxFlows) this.#forget(this.#uploads.values().next().value);
  }

  #forget(upload: StoredUpload | undefined): void {
    const cluster = upload && this.#clusters.get(upload.clusterId);
    if (!cluster) throw new Error('nothing to forget');
    this.#uploads.delete(upload);
    this.#count -= weight(upload);
    cluster.uploads.splice(cluster.uploads.indexOf(upload), 1);
    if (!cluster.uploads.some(({ sha256 }) => sha256 === upload.sha256)) cluster.bodies.delete(upload.sha256);
    for (const identity of upload.identities) cluster.identities.delete(identity);
    if (cluster.uploads.length === 0) this.#clusters.delete(upload.clusterId);
  }
}

/** An upload itself counts too: without new flows it would be free. */
const weight = ({ identities }: StoredUpload): number => identities.length + 1;
const weightOf = ({ uploads, identities }: ClusterFlows): number => identities.size + uploads.length;
