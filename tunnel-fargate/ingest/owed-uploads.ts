import type { UploadTrace } from './upload-trace.ts';

type Owed = {
  trace: UploadTrace;
  readonly firstFailureAt: number;
  lastFailureAt: number;
  attempts: number;
};

/** Goldmane tries 1 + 15 times, 1 s doubling to 30 s apart: 5.5 minutes of waiting (guardian.md §4.1). */
const maxAttempts = 16;
const retriesMs = 330_000;
/** Its longest wait, and what its other POSTs may take in between, since it sends one at a time, ms. */
const maxPauseMs = 120_000;

/**
 * Uploads that were refused and that their senders still repeat. Goldmane skips a bucket in silence once a newer one got
 * its 200 (guardian.md §4.1), so none newer may be taken while an older one is owed. One is owed until it is stored, or
 * until its retries are over: 16 attempts seen, or 5.5 minutes since the first failed and none for two minutes.
 * Bounded; times in epoch ms, from the caller.
 */
export class OwedUploads {
  readonly #maxPerCluster: number;
  readonly #maxClusters: number;
  readonly #clusters = new Map<string, Owed[]>();

  /** Goldmane keeps an hour, twelve buckets of five minutes: 32 are never reached by it. */
  constructor({ maxPerCluster = 32, maxClusters = 2_048 } = {}) {
    this.#maxPerCluster = maxPerCluster;
    this.#maxClusters = maxClusters;
  }

  /** Clusters that owe something. */
  get clusters(): number {
    return this.#clusters.size;
  }

  /** Whether an older upload of that cluster is owed, so that this one has to wait. */
  holdsBack(clusterId: string, upload: UploadTrace, now: number): boolean {
    return this.#live(clusterId, now).some(({ trace }) => !trace.isSameAs(upload) && isOlder(trace, upload));
  }

  /** Notes a failed attempt. False when there is no room for it: then nothing waits for it. */
  failed(clusterId: string, upload: UploadTrace, now: number): boolean {
    const owed = this.#live(clusterId, now);
    const known = owed.find(({ trace }) => trace.isSameAs(upload));
    if (known) {
      known.trace = better(upload, known.trace);
      known.lastFailureAt = now;
      known.attempts += 1;
      if (known.attempts >= maxAttempts)
        this.#keep(
          clusterId,
          owed.filter((entry) => entry !== known),
        );
      return true;
    }
    if (owed.length >= this.#maxPerCluster) return false;
    if (owed.length === 0 && this.#clusters.size >= this.#maxClusters) this.#sweep(now);
    if (owed.length === 0 && this.#clusters.size >= this.#maxClusters) return false;
    this.#keep(clusterId, [...owed, { trace: upload, firstFailureAt: now, lastFailureAt: now, attempts: 1 }]);
    return true;
  }

  /** The upload is stored. So is what is owed for the same time: a restarted Goldmane sends its bucket with other flows. */
  settled(clusterId: string, upload: UploadTrace, now: number): void {
    const rest = this.#live(clusterId, now).filter(
      ({ trace }) => !trace.isSameAs(upload) && (trace.end === undefined || trace.end !== upload.end),
    );
    this.#keep(clusterId, rest);
  }

  #live(clusterId: string, now: number): readonly Owed[] {
    const owed = this.#clusters.get(clusterId);
    if (!owed) return [];
    const live = owed.filter((entry) => !isOver(entry, now));
    if (live.length !== owed.length) this.#keep(clusterId, live);
    return live;
  }

  #keep(clusterId: string, owed: readonly Owed[]): void {
    if (owed.length === 0) this.#clusters.delete(clusterId);
    else this.#clusters.set(clusterId, [...owed]);
  }

  #sweep(now: number): void {
    for (const clusterId of [...this.#clusters.keys()]) this.#live(clusterId, now);
  }
}

const isOver = ({ firstFailureAt, lastFailureAt }: Owed, now: number): boolean =>
  now >= Math.max(firstFailureAt + retriesMs, lastFailureAt + maxPauseMs);

/** One without any flow that was read: older than all when it broke off, newer than all when it has none. */
const position = ({ end, sha256 }: UploadTrace): number =>
  end ?? (sha256 === undefined ? -Infinity : Infinity);
const isOlder = (one: UploadTrace, other: UploadTrace): boolean => position(one) < position(other);

/** The one that was read to its end; what is known of its time is kept. */
function better(upload: UploadTrace, before: UploadTrace): UploadTrace {
  const kept = upload.sha256 !== undefined || before.sha256 === undefined ? upload : before;
  const end = kept === upload ? before.end : upload.end;
  if (end !== undefined) kept.sawEnd(end);
  return kept;
}
