import type { Caller } from '../credential/caller.ts';
import { Problem } from '../problem/problem.ts';

/**
 * A cluster's token reaches that cluster only: any other, of its own tenant too, is NOT_FOUND to it, as one that is not
 * there. Users and API keys reach what their tenant has.
 */
export function onlyItsOwn({ kind, clusterId: own }: Caller, clusterId: string): void {
  if (kind === 'cluster' && own !== clusterId) throw new Problem('NOT_FOUND');
}
