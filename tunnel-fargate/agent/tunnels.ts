import type { Logger } from 'pino';
import QuickLRU from 'quick-lru';
import type { Tunnel, TunnelEnd } from './tunnel.ts';

/** A tunnel's place in the directory, as long as it is up. */
export type Announcement = { withdraw(): Promise<void> };

type Dependencies = {
  /** Puts a tunnel into the directory; `onSuperseded` when a newer one is announced elsewhere. */
  readonly announce: (tunnel: Tunnel, onSuperseded: () => void) => Announcement;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

type Live = { readonly tunnel: Tunnel; readonly announcement: Announcement };
type Waiter = (tunnel: Tunnel) => void;

/** The live tunnels of this task, one per cluster: the newest wins (guardian.md 2.4 rule 9). */
export class Tunnels {
  readonly #dependencies: Dependencies;
  readonly #live = new Map<string, Live>();
  /** How many of them each tenant has. */
  readonly #perTenant = new Map<string, number>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  /** Clusters that were cut off by a revocation and have not come back since; the oldest beyond some thousands are forgotten. */
  readonly #revoked = new QuickLRU<string, true>({ maxSize: 5_000 });
  /** When the last tunnel of a cluster ended here, epoch ms; the oldest beyond some thousands are forgotten. */
  readonly #ended = new QuickLRU<string, number>({ maxSize: 5_000 });
  /** Closings and withdrawals under way. */
  readonly #leaving = new Set<Promise<void>>();

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  get size(): number {
    return this.#live.size;
  }

  /** Live tunnels of a tenant. */
  sizeOf(tenantId: string): number {
    return this.#perTenant.get(tenantId) ?? 0;
  }

  get(clusterId: string): Tunnel | undefined {
    return this.#live.get(clusterId)?.tunnel;
  }

  /** Whether the cluster's last tunnel here was cut because its certificate was revoked. */
  wasRevoked(clusterId: string): boolean {
    return this.#revoked.has(clusterId);
  }

  /** When its last tunnel here ended, epoch ms, if it is known: for the time in which the directory does not answer. */
  endedAt(clusterId: string): number | undefined {
    return this.#ended.peek(clusterId);
  }

  all(): readonly Tunnel[] {
    return [...this.#live.values()].map(({ tunnel }) => tunnel);
  }

  add(tunnel: Tunnel): void {
    const { clusterId } = tunnel;
    const other = this.get(clusterId);
    if (other && other.sequence > tunnel.sequence) {
      this.close(tunnel, 'REPLACED');
      return;
    }
    if (other) this.close(other, 'REPLACED');
    const announcement = this.#dependencies.announce(tunnel, () => this.close(tunnel, 'SUPERSEDED'));
    this.#live.set(clusterId, { tunnel, announcement });
    this.#perTenant.set(tunnel.tenantId, this.sizeOf(tunnel.tenantId) + 1);
    this.#revoked.delete(clusterId);
    const waiters = this.#waiters.get(clusterId);
    this.#waiters.delete(clusterId);
    for (const wake of waiters ?? []) wake(tunnel);
  }

  /** Forgets a tunnel that has ended. */
  remove(tunnel: Tunnel): void {
    const live = this.#live.get(tunnel.clusterId);
    if (live?.tunnel !== tunnel) return;
    this.#live.delete(tunnel.clusterId);
    this.#ended.set(tunnel.clusterId, this.#dependencies.now());
    const left = this.sizeOf(tunnel.tenantId) - 1;
    if (left > 0) this.#perTenant.set(tunnel.tenantId, left);
    else this.#perTenant.delete(tunnel.tenantId);
    this.#track(live.announcement.withdraw());
  }

  close(tunnel: Tunnel, end: TunnelEnd): void {
    if (end === 'CERTIFICATE_REVOKED' && this.get(tunnel.clusterId) === tunnel) {
      this.#revoked.set(tunnel.clusterId, true);
    }
    this.#track(tunnel.close(end));
  }

  /** Closes all and waits until every connection is gone and every entry withdrawn. */
  async closeAll(end: TunnelEnd): Promise<void> {
    for (const tunnel of this.all()) this.close(tunnel, end);
    while (this.#leaving.size > 0) await Promise.all(this.#leaving);
  }

  /** The cluster's tunnel once it is up; undefined after `ms`. Rejects with the signal's reason. */
  async waitFor(clusterId: string, ms: number, signal?: AbortSignal): Promise<Tunnel | undefined> {
    signal?.throwIfAborted();
    const present = this.get(clusterId);
    if (present) return present;
    const waiters = this.#waiters.get(clusterId) ?? new Set<Waiter>();
    this.#waiters.set(clusterId, waiters);
    let release: (() => void) | undefined;
    try {
      return await new Promise<Tunnel | undefined>((resolve, reject) => {
        const timer = setTimeout(() => resolve(undefined), ms);
        const onAbort = () => reject(signal?.reason as Error);
        signal?.addEventListener('abort', onAbort, { once: true });
        waiters.add(resolve);
        release = () => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          waiters.delete(resolve);
        };
      });
    } finally {
      release?.();
      if (waiters.size === 0 && this.#waiters.get(clusterId) === waiters) this.#waiters.delete(clusterId);
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) =>
        this.#dependencies.logger.error({ err: error }, 'a tunnel did not end in order'),
      )
      .finally(() => this.#leaving.delete(tracked));
    this.#leaving.add(tracked);
  }
}
