/**
 * How many bytes may be in memory at the same time. Shared by all uploads of the process, with a share that one
 * cluster may not exceed, so that none can take the memory of the others.
 */
export class ByteBudget {
  readonly #total: number;
  readonly #share: number;
  readonly #used = new Map<string, number>();
  #inUse = 0;

  constructor({ totalBytes, clusterBytes }: { totalBytes: number; clusterBytes: number }) {
    this.#total = totalBytes;
    this.#share = clusterBytes;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** A reservation for one upload of a cluster; everything it took returns with release(). */
  reserve(clusterId: string): Reservation {
    let taken = 0;
    return {
      take: (bytes) => {
        const used = this.#used.get(clusterId) ?? 0;
        if (this.#inUse + bytes > this.#total || used + bytes > this.#share) return false;
        this.#inUse += bytes;
        this.#used.set(clusterId, used + bytes);
        taken += bytes;
        return true;
      },
      release: () => {
        const left = (this.#used.get(clusterId) ?? 0) - taken;
        this.#inUse -= taken;
        taken = 0;
        if (left > 0) this.#used.set(clusterId, left);
        else this.#used.delete(clusterId);
      },
    };
  }
}

export type Reservation = {
  /** False, and nothing taken, when it does not fit. */
  take(bytes: number): boolean;
  /** May be called again. */
  release(): void;
};
