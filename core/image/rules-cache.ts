import type { KnownRules } from './image-rules-repository.ts';

/** Tenants whose rules are kept, and exceptions and statements of all of them together (some hundred bytes each). */
const [maxTenants, maxEntries] = [500, 50_000];

/** Rules of the tenants that were asked for last, bounded by number and, what quick-lru does not know, by size. */
export class RulesCache {
  /** The least recently used first. */
  readonly #kept = new Map<string, KnownRules>();
  #entries = 0;

  get(tenantId: string): KnownRules | undefined {
    const rules = this.#kept.get(tenantId);
    if (rules) {
      this.#kept.delete(tenantId);
      this.#kept.set(tenantId, rules);
    }
    return rules;
  }

  keep(tenantId: string, rules: KnownRules): void {
    this.#drop(tenantId);
    this.#kept.set(tenantId, rules);
    this.#entries += entriesOf(rules);
    for (const other of this.#kept.keys()) {
      // The newest are kept, however many they are: they are in use.
      if (other === tenantId || (this.#entries <= maxEntries && this.#kept.size <= maxTenants)) return;
      this.#drop(other);
    }
  }

  #drop(tenantId: string): void {
    const rules = this.#kept.get(tenantId);
    if (!rules) return;
    this.#kept.delete(tenantId);
    this.#entries -= entriesOf(rules);
  }
}

const entriesOf = ({ rules }: KnownRules): number => rules.exceptions.length + rules.statements.length;
