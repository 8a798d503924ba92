import type { Caller } from '../credential/caller.ts';
import type { Role } from '../credential/scope.ts';
import type { Allowance } from './decision.ts';
import { readingVerbs } from './kubernetes-verbs.ts';

const everything = { namespaces: ['*'], apiGroups: ['*'], resources: ['*'] } as const;
const nothing = { namespaces: [], apiGroups: [], resources: [] } as const;

/** What a cluster serves, not what is in it: without it no client finds what it may use. */
const discovery: Allowance = {
  ...nothing,
  verbs: ['get'],
  nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/version', '/openapi', '/openapi/*'],
};
const reading: Allowance = { ...everything, verbs: readingVerbs, nonResourceURLs: ['*'] };
const changing: Allowance = { ...everything, verbs: ['*'], nonResourceURLs: ['*'] };

/** What each role may do in every cluster of its tenant; what Guardian's account may do there limits it further. */
export const roleRules: Readonly<Record<Role, readonly Allowance[]>> = {
  member: [discovery],
  viewer: [discovery, reading],
  editor: [discovery, changing],
  admin: [discovery, changing],
  owner: [discovery, changing],
};

/** The roles that speak for a caller in a cluster: a member's own; for an API key those that its scopes amount to. */
export function clusterRolesOf({ kind, roles, scopes }: Caller): readonly Role[] {
  if (kind !== 'user' && kind !== 'api-key') return [];
  if (roles) return roles;
  if (scopes.has('clusters:change')) return scopes.has('clusters:access') ? ['viewer', 'editor'] : ['editor'];
  if (scopes.has('clusters:access')) return ['viewer'];
  return scopes.has('clusters:read') ? ['member'] : [];
}

/** What rules of tenants call a caller: their principal, and a member's roles. Others than members and API keys: nothing. */
export function subjectsOf({ kind, principal, roles = [] }: Caller): readonly string[] {
  if (kind !== 'user' && kind !== 'api-key') return [];
  return [principal, ...roles.map((role) => `role:${role}`)];
}
