import type { AccessRule } from '../../core/access/access-rule-repository.ts';
import { within } from '../../core/aws/patience.ts';
import { Problem } from '../../core/problem/problem.ts';

/** All rules of a tenant. Rejects with Problem UNAVAILABLE. */
export type RulesOfTenant = (tenantId: string) => Promise<readonly AccessRule[]>;

type Options = {
  readonly read: RulesOfTenant;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly timing?: Partial<AccessRuleTiming>;
  /** How many rules are kept in all, of at most 2 KB each; tenants not asked for the longest go first. */
  readonly maxRules?: number;
};

export type AccessRuleTiming = {
  /**
   * How long what was read holds, ms. With the running requests' re-check every 2 s, the end of a rule so ends what it
   * allowed within 5 s.
   */
  readonly freshMs: number;
  /** How long what was read last may decide while the table does not answer, ms; after that nothing does. */
  readonly staleMs: number;
  /** A read that takes longer has failed, ms. */
  readonly readTimeoutMs: number;
  /** How soon a failing table is asked again, ms. */
  readonly retryMs: number;
};

const defaultTiming: AccessRuleTiming = {
  freshMs: 2_000,
  staleMs: 60_000,
  readTimeoutMs: 3_000,
  retryMs: 1_000,
};

type Known = {
  rules?: { readonly list: readonly AccessRule[]; readonly askedAt: number };
  reading?: Promise<readonly AccessRule[]>;
  failedAt?: number;
};

/** What counts for a tenant without rules. */
const emptyWeight = 1;

/**
 * The tenants' access rules, read when they are needed and kept for 2 s; concurrent requests of a tenant share a read.
 * Units: at most 1 read per 4 KB of rules (1 for up to some ten) each 2 s and tenant, and none while nobody asks who
 * is not allowed by a role already.
 *
 * A table that does not answer leaves what was read last in force for 60 s; then, or if nothing was ever read, whoever
 * needs a rule gets UNAVAILABLE. What roles allow does not come here.
 */
export class AccessRules {
  readonly #read: RulesOfTenant;
  readonly #now: () => number;
  readonly #timing: AccessRuleTiming;
  readonly #maxRules: number;
  readonly #tenants = new Map<string, Known>();
  #weight = 0;

  constructor({ read, now, timing, maxRules = 20_000 }: Options) {
    this.#read = read;
    this.#now = now;
    this.#timing = { ...defaultTiming, ...timing };
    this.#maxRules = maxRules;
  }

  /** Rejects with Problem UNAVAILABLE. */
  async of(tenantId: string): Promise<readonly AccessRule[]> {
    const known = this.#touch(tenantId);
    const { rules, failedAt } = known;
    if (rules && this.#age(rules.askedAt) < this.#timing.freshMs) return rules.list;
    if (failedAt === undefined || known.reading || this.#age(failedAt) >= this.#timing.retryMs) {
      try {
        return await (known.reading ??= this.#ask(tenantId, known));
      } catch (cause) {
        return this.#lastKnown(known, cause);
      }
    }
    return this.#lastKnown(known, new Error('the access rules could not be read a moment ago'));
  }

  /** Tenants whose rules are in memory. */
  get size(): number {
    return this.#tenants.size;
  }

  async #ask(tenantId: string, known: Known): Promise<readonly AccessRule[]> {
    // The time runs from the question: what is in force is never older than it says.
    const askedAt = this.#now();
    try {
      const list = await within(this.#timing.readTimeoutMs, this.#read(tenantId));
      if (this.#tenants.get(tenantId) === known) this.#weight += weightOf(list) - weightOf(known.rules?.list);
      known.rules = { list, askedAt };
      delete known.failedAt;
      this.#shed();
      return list;
    } catch (error) {
      known.failedAt = this.#now();
      throw error;
    } finally {
      delete known.reading;
    }
  }

  #lastKnown({ rules }: Known, cause: unknown): readonly AccessRule[] {
    if (rules && this.#age(rules.askedAt) < this.#timing.staleMs) return rules.list;
    throw new Problem('UNAVAILABLE', 'The access rules cannot be read at present.', { cause });
  }

  #age(since: number): number {
    return this.#now() - since;
  }

  /** The tenant's entry, as the one asked for last. */
  #touch(tenantId: string): Known {
    const known = this.#tenants.get(tenantId) ?? {};
    if (!this.#tenants.delete(tenantId)) this.#weight += weightOf(known.rules?.list);
    this.#tenants.set(tenantId, known);
    this.#shed();
    return known;
  }

  #shed(): void {
    for (const [tenantId, { rules }] of this.#tenants) {
      if (this.#weight <= this.#maxRules || this.#tenants.size === 1) return;
      this.#tenants.delete(tenantId);
      this.#weight -= weightOf(rules?.list);
    }
  }
}

const weightOf = (rules: readonly AccessRule[] = []): number => emptyWeight + rules.length;
