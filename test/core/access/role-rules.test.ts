import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide } from '../../../core/access/decision.ts';
import { verbs } from '../../../core/access/kubernetes-verbs.ts';
import { clusterRolesOf, roleRules, subjectsOf } from '../../../core/access/role-rules.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { roles, type Scope, scopes } from '../../../core/credential/scope.ts';

const caller = (part: Partial<Caller>): Caller => ({
  kind: 'user',
  tenantId: 't',
  principal: 'user:jane',
  scopes: new Set(),
  ...part,
});

describe('the rules of roles', () => {
  const asked = fc.record({
    verb: fc.constantFrom(...verbs, '*', 'impersonate'),
    isResource: fc.boolean(),
    path: fc.constantFrom('/api', '/apis/apps/v1', '/version', '/metrics', '/goldmane.Statistics/List'),
    group: fc.constantFrom('', 'apps'),
    resource: fc.constantFrom('pods', 'secrets', '*'),
    subresource: fc.constantFrom('', 'exec', 'log'),
    namespace: fc.constantFrom('', 'shop'),
    name: fc.constantFrom('', 'a'),
  });

  test('allow each role all that the role below it may, and a member nothing of a resource', () => {
    fc.assert(
      fc.property(asked, (request) => {
        const allowed = roles.map((role) => decide(roleRules[role], request).allowed);
        expect(allowed).toEqual([...allowed].sort());
        if (request.isResource) expect(allowed[0]).toBe(false);
        // What is no reading verb is for editors and above.
        if (!['get', 'list', 'watch'].includes(request.verb))
          expect(allowed.slice(0, 2)).toEqual([false, false]);
      }),
      { seed: 6, numRuns: 1_000 },
    );
  });
});

describe('the roles that speak for a caller in a cluster', () => {
  test('are a member’s own', () => {
    expect(clusterRolesOf(caller({ roles: ['viewer', 'admin'] }))).toEqual(['viewer', 'admin']);
    expect(clusterRolesOf(caller({ roles: [], scopes: new Set(['clusters:change']) }))).toEqual([]);
  });

  test('are for an API key what its scopes amount to, and none for other scopes', () => {
    const of = (...given: Scope[]) => clusterRolesOf(caller({ kind: 'api-key', scopes: new Set(given) }));
    expect(of('clusters:change', 'clusters:access', 'clusters:read')).toEqual(['viewer', 'editor']);
    expect(of('clusters:change')).toEqual(['editor']);
    expect(of('clusters:access', 'clusters:read')).toEqual(['viewer']);
    expect(of('clusters:read')).toEqual(['member']);
    expect(of(...scopes.filter((scope) => !/^clusters:(?:read|access|change)$/.test(scope)))).toEqual([]);
  });

  test.each(['registration-token', 'cluster'] as const)(
    'are none for a %s, which no rule can name either',
    (kind) => {
      const machine = caller({ kind, scopes: new Set(scopes), roles: ['owner'] });
      expect([clusterRolesOf(machine), subjectsOf(machine)]).toEqual([[], []]);
    },
  );
});

test('rules name a member by principal and roles, and an API key by its principal', () => {
  expect(subjectsOf(caller({ roles: ['member', 'viewer'] }))).toEqual([
    'user:jane',
    'role:member',
    'role:viewer',
  ]);
  expect(subjectsOf(caller({ kind: 'api-key', principal: 'api-key:a', scopes: new Set(scopes) }))).toEqual([
    'api-key:a',
  ]);
});
