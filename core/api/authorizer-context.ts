import type { Caller } from '../credential/caller.ts';
import { parseScopes } from '../credential/scope.ts';

/** What the authorizer hands to the functions: strings only, for authorizer contexts hold no arrays. */
export type AuthorizerContext = {
  kind: Caller['kind'];
  tenantId: string;
  principal: string;
  scopes: string;
  clusterId?: string;
  credentialHash?: string;
};

export function authorizerContext({ roles: _roles, ...caller }: Caller): AuthorizerContext {
  return { ...caller, scopes: [...caller.scopes].join(' ') };
}

/** The verified caller of a request; undefined when the route had no authorizer. */
export function callerOf(context: Readonly<Record<string, unknown>> | null | undefined): Caller | undefined {
  const { kind, tenantId, principal, scopes, clusterId, credentialHash } = (context ??
    {}) as Partial<AuthorizerContext>;
  if (!kind || !tenantId || !principal) return undefined;
  return {
    kind,
    tenantId,
    principal,
    scopes: parseScopes(scopes ?? ''),
    ...(clusterId ? { clusterId } : {}),
    ...(credentialHash ? { credentialHash } : {}),
  };
}
