import { BoundedBudget, type WindowBudget } from '../yamux/window-budget.ts';

export type WindowMemoryOptions = {
  /** All tunnels of the process together, bytes. */
  readonly total: number;
  /** All tunnels of one tenant, bytes. */
  readonly tenant: number;
  /** One tunnel, bytes. */
  readonly tunnel: number;
};

/**
 * The task has 2 GiB (lib/tunnel.ts): 256 MiB are for uploads, about 600 MiB for Node, connections and HTTP, and what is
 * left must hold the windows even where a peer cuts its frames so that buffers take more than their bytes. Each stream
 * costs 256 KiB at least: 3,072 streams, of one tenant 1,536, of one tunnel 512. Half of each is for windows that grow.
 */
export const defaultWindowMemory: WindowMemoryOptions = {
  total: 805_306_368,
  tenant: 402_653_184,
  tunnel: 134_217_728,
};

/** The memory of one tunnel. */
export type TunnelMemory = {
  readonly budget: WindowBudget;
  /** The tunnel has ended. What its streams still hold is given back when they are read or destroyed. */
  close(): void;
};

type Share = { readonly budget: BoundedBudget; tunnels: number };

/** What the peers of all tunnels may leave unread in our memory, so that no tenant and no cluster takes it all. */
export class WindowMemory {
  readonly #options: WindowMemoryOptions;
  readonly #total: BoundedBudget;
  readonly #shares = new Map<string, Share>();

  constructor(options: WindowMemoryOptions = defaultWindowMemory) {
    this.#options = options;
    this.#total = new BoundedBudget({ limit: options.total });
  }

  /** Bytes promised to peers now. */
  get inUse(): number {
    return this.#total.inUse;
  }

  /** Tenants that have a tunnel, or streams left of one. */
  get tenants(): number {
    return this.#shares.size;
  }

  open(tenantId: string): TunnelMemory {
    const share = this.#shares.get(tenantId) ?? this.#newShare(tenantId);
    share.tunnels += 1;
    let open = true;
    return {
      budget: new BoundedBudget({ limit: this.#options.tunnel, parent: share.budget }),
      close: () => {
        if (!open) return;
        open = false;
        share.tunnels -= 1;
        this.#forgetUnused(tenantId, share);
      },
    };
  }

  #newShare(tenantId: string): Share {
    const share: Share = {
      tunnels: 0,
      budget: new BoundedBudget({
        limit: this.#options.tenant,
        parent: this.#total,
        onEmpty: () => this.#forgetUnused(tenantId, share),
      }),
    };
    this.#shares.set(tenantId, share);
    return share;
  }

  #forgetUnused(tenantId: string, { tunnels, budget }: Share): void {
    if (tunnels === 0 && budget.inUse === 0) this.#shares.delete(tenantId);
  }
}
