import type { Caller } from '../../core/credential/caller.ts';
import type { Scope } from '../../core/credential/scope.ts';
import { Problem } from '../../core/problem/problem.ts';
import { describeRequest, type RequestAttributes } from './request-attributes.ts';

const reading: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

/** The scope that a request into a cluster needs: reading `clusters:access`, all else (dry runs too) `clusters:change`. */
export const scopeFor = ({ verb }: Pick<RequestAttributes, 'verb'>): Scope =>
  reading.has(verb) ? 'clusters:access' : 'clusters:change';

/** Before anything is looked up: a credential that reaches no cluster at all. @throws Problem ACCESS_DENIED */
export function assertReachesClusters({ scopes }: Caller): void {
  if (!scopes.has('clusters:access') && !scopes.has('clusters:change')) {
    throw new Problem('ACCESS_DENIED', 'This needs clusters:access or clusters:change.');
  }
}

/** @throws Problem ACCESS_DENIED */
export function authorise(caller: Caller, attributes: RequestAttributes): void {
  const scope = scopeFor(attributes);
  if (caller.scopes.has(scope)) return;
  throw new Problem(
    'ACCESS_DENIED',
    `${caller.principal} may not ${describeRequest(attributes)}: this needs ${scope}.`,
  );
}
