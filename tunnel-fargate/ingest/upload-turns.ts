import type { UploadTrace } from './upload-trace.ts';

type Waiting = { readonly trace: UploadTrace; readonly start: () => void };
type Cluster = { readonly reading: Set<UploadTrace>; waiting: Waiting[]; running: boolean };

/**
 * Uploads of one cluster are decided one after another, the one with the oldest flows first, also where they come at the
 * same time: a newer one that is acknowledged would make the sender drop an older one that then fails.
 */
export class UploadTurns {
  readonly #clusters = new Map<string, Cluster>();

  /** An upload begins to be read. Call `read` or `gone` once. */
  begin(
    clusterId: string,
    trace: UploadTrace,
  ): { read<Result>(decide: () => Promise<Result>): Promise<Result>; gone(): void } {
    const cluster = this.#clusters.get(clusterId) ?? { reading: new Set(), waiting: [], running: false };
    this.#clusters.set(clusterId, cluster);
    cluster.reading.add(trace);
    const next = () => this.#next(clusterId, cluster);
    return {
      read: async (decide) => {
        const turn = new Promise<void>((resolve) => cluster.waiting.push({ trace, start: resolve }));
        cluster.reading.delete(trace);
        next();
        await turn;
        try {
          return await decide();
        } finally {
          cluster.running = false;
          next();
        }
      },
      gone: () => {
        cluster.reading.delete(trace);
        next();
      },
    };
  }

  #next(clusterId: string, cluster: Cluster): void {
    if (cluster.running) return;
    const end = ({ end: latest }: UploadTrace) => latest ?? Infinity;
    let first = cluster.waiting[0];
    for (const upload of cluster.waiting) {
      if (first && end(upload.trace) < end(first.trace)) first = upload;
    }
    if (!first) {
      if (cluster.reading.size === 0) this.#clusters.delete(clusterId);
      return;
    }
    // Reading is bounded in time; whoever is read calls this again.
    const oldest = end(first.trace);
    if ([...cluster.reading].some((trace) => end(trace) < oldest)) return;
    cluster.waiting = cluster.waiting.filter((upload) => upload !== first);
    cluster.running = true;
    first.start();
  }
}
