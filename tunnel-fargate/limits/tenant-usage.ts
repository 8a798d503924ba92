import { Problem } from '../../core/problem/problem.ts';
import { maxDebtSeconds, type TenantLimits } from './tenant-limits.ts';
import { TokenBucket } from './token-bucket.ts';

/** What has been refused since the start, by what was over its limit. */
export type LimitRefusals = Record<
  'requests' | 'requestRate' | 'bytes' | 'clusterStreams' | 'tunnels',
  number
>;

/** A request that was let in. */
export type Admission = {
  /** Bytes of a body that went either way. */
  moved(bytes: number): void;
  /** It has ended; the first call counts. */
  release(): void;
};

type Usage = {
  requests: number;
  streams: number;
  readonly requestRate: TokenBucket;
  readonly bytes: TokenBucket;
  readonly streamRate: TokenBucket;
};

type Options = {
  readonly limits: TenantLimits;
  /** Milliseconds. */
  readonly now: () => number;
  /** Tenants that are remembered before those that do nothing are looked for and forgotten. */
  readonly sweepAt?: number;
};

/**
 * What each tenant uses of this task now. A tenant at rest costs nothing: with nothing running and full buckets it is as
 * one that was never here, and is forgotten.
 */
export class TenantUsage {
  readonly refused: LimitRefusals = { requests: 0, requestRate: 0, bytes: 0, clusterStreams: 0, tunnels: 0 };
  readonly #options: Options;
  readonly #usages = new Map<string, Usage>();
  #sweepAt: number;

  constructor(options: Options) {
    this.#options = options;
    this.#sweepAt = options.sweepAt ?? 256;
  }

  /** Tenants remembered. */
  get size(): number {
    return this.#usages.size;
  }

  /** @throws Problem TOO_MANY_REQUESTS, with `Retry-After` in whole seconds */
  admitRequest(tenantId: string): Admission {
    const { limits } = this.#options;
    const usage = this.#of(tenantId);
    if (usage.requests >= limits.concurrentRequests) {
      // Nobody knows when one of them ends.
      throw this.#over(
        'requests',
        `${limits.concurrentRequests} requests of this tenant are under way.`,
        1_000,
      );
    }
    if (usage.bytes.waitMs > 0) {
      const most = `more than ${limits.bytesPerSecond} bytes a second`;
      throw this.#over('bytes', `This tenant has moved ${most}.`, usage.bytes.waitMs);
    }
    if (!usage.requestRate.take()) {
      const most = `more than ${limits.requestsPerSecond} requests a second`;
      throw this.#over('requestRate', `This tenant makes ${most}.`, usage.requestRate.waitMs);
    }
    usage.requests += 1;
    let released = false;
    return {
      moved: (bytes) => usage.bytes.charge(bytes),
      release: () => {
        if (released) return;
        released = true;
        usage.requests -= 1;
      },
    };
  }

  /** For a stream that a cluster opened: what to call when it has ended; undefined when it must be refused. */
  admitClusterStream(tenantId: string): (() => void) | undefined {
    const usage = this.#of(tenantId);
    if (usage.streams >= this.#options.limits.clusterStreams || !usage.streamRate.take()) {
      this.refused.clusterStreams += 1;
      return undefined;
    }
    usage.streams += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      usage.streams -= 1;
    };
  }

  /** Whether a tenant with `open` tunnels may have one more. */
  admitsTunnel(open: number): boolean {
    const admitted = open < this.#options.limits.tunnels;
    if (!admitted) this.refused.tunnels += 1;
    return admitted;
  }

  #of(tenantId: string): Usage {
    const known = this.#usages.get(tenantId);
    if (known) return known;
    if (this.#usages.size >= this.#sweepAt) this.#sweep();
    const { limits, now } = this.#options;
    const usage: Usage = {
      requests: 0,
      streams: 0,
      requestRate: new TokenBucket({ perSecond: limits.requestsPerSecond, burst: limits.requestBurst, now }),
      bytes: new TokenBucket({
        perSecond: limits.bytesPerSecond,
        burst: limits.byteBurst,
        maxDebt: maxDebtSeconds * limits.bytesPerSecond,
        now,
      }),
      streamRate: new TokenBucket({
        perSecond: limits.clusterStreamsPerSecond,
        burst: limits.clusterStreamBurst,
        now,
      }),
    };
    this.#usages.set(tenantId, usage);
    return usage;
  }

  /** Forgets the tenants at rest. The next time is when there are twice as many as are left: each costs little in all. */
  #sweep(): void {
    for (const [tenantId, { requests, streams, requestRate, bytes, streamRate }] of this.#usages) {
      const rests = requests === 0 && streams === 0 && requestRate.full && bytes.full && streamRate.full;
      if (rests) this.#usages.delete(tenantId);
    }
    this.#sweepAt = Math.max(this.#options.sweepAt ?? 256, 2 * this.#usages.size);
  }

  #over(what: keyof LimitRefusals, detail: string, waitMs: number): Problem {
    this.refused[what] += 1;
    const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
    return new Problem('TOO_MANY_REQUESTS', detail, { headers: { 'Retry-After': seconds } });
  }
}
