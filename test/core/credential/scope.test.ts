import { describe, expect, test } from '@jest/globals';
import { authorizerContext, callerOf } from '../../../core/api/authorizer-context.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { parseScopes, roles, roleScopes, scopes } from '../../../core/credential/scope.ts';

describe('scopes', () => {
  test('in text give only what is known', () => {
    expect([...parseScopes('clusters:read  admin clusters:read,scans:write Clusters:read')]).toEqual([
      'clusters:read',
    ]);
    expect(parseScopes('').size).toBe(0);
  });

  test('of a role hold those of every lower role', () => {
    for (const [index, role] of roles.entries()) {
      const lower = roles[index - 1];
      if (lower)
        expect(new Set(roleScopes[role])).toEqual(new Set([...roleScopes[role], ...roleScopes[lower]]));
    }
  });

  test('of machines are no role’s: a member can neither register nor report as a cluster', () => {
    for (const role of roles) {
      expect(roleScopes[role]).not.toContain('registration:use');
      expect(roleScopes[role]).not.toContain('cluster:report');
    }
  });
});

describe('the authorizer’s context', () => {
  const callers: Caller[] = [
    { kind: 'user', tenantId: 't-a', principal: 'user:a b', scopes: new Set(scopes) },
    { kind: 'api-key', tenantId: 't-a', principal: 'api-key:x', scopes: new Set(), credentialHash: 'h' },
    {
      kind: 'cluster',
      tenantId: 't-a',
      principal: 'cluster:c-a',
      scopes: new Set(['cluster:report']),
      clusterId: 'c-a',
      credentialHash: 'h',
    },
  ];

  test.each(callers)('gives back the caller it was made of: $kind', (caller) => {
    const context = authorizerContext(caller);
    expect(Object.values(context).map((value) => typeof value)).toEqual(
      Object.keys(context).map(() => 'string'),
    );
    expect(callerOf(context)).toEqual(caller);
  });

  test('without a kind, a tenant or a principal is nobody', () => {
    const [whole] = callers.map(authorizerContext);
    for (const context of [null, undefined, {}, { ...whole, tenantId: '' }, { ...whole, kind: undefined }]) {
      expect(callerOf(context)).toBeUndefined();
    }
  });
});
