import { roleScopes } from '../../core/credential/scope.ts';
import { newToken } from '../../core/credential/token.ts';
import { newTenantId } from '../../core/tenant/identifier.ts';
import type { Dependencies } from './deps.ts';
import { OperatorError } from './operator-error.ts';
import { invitationLifeSeconds, inviteMember, removeMember, setMemberRole } from './members.ts';
import { type OperatorAnswer, operatorRequest, type TenantAnswer } from './operator-request.ts';

const keyLifeSeconds = 86_400;

/**
 * Carries out one request of the operator. Creating a tenant is idempotent by its name and completes an attempt that
 * stopped half-way; each time it gives a new owner's key. Throws OperatorError.
 * Units: create 4 writes (1 read when the name is known), key 1 read and 1 write; members 1 read and what their use
 * cases say.
 */
export async function operate(deps: Dependencies, event: unknown): Promise<OperatorAnswer> {
  const request = operatorRequest.safeParse(event);
  if (!request.success) {
    const [issue] = request.error.issues;
    throw new OperatorError('INVALID_REQUEST', `/${issue?.path.join('/') ?? ''} ${issue?.message ?? ''}`);
  }
  const asked = request.data;
  const { name } = asked;
  if (asked.action === 'create-tenant') return ownerKey(deps, name, await createTenant(deps, asked));
  const tenantId = await deps.names.find(name);
  if (tenantId === undefined) throw new OperatorError('TENANT_NOT_FOUND', `There is no tenant ${name}.`);
  const tenant = { tenantId, name };
  switch (asked.action) {
    case 'owner-key':
      return ownerKey(deps, name, tenantId);
    case 'invite-member':
      return inviteMember(deps, tenant, asked);
    case 'set-member-role':
      return setMemberRole(deps, tenant, asked);
    case 'remove-member':
      return removeMember(deps, tenant, asked);
  }
}

async function createTenant(
  deps: Dependencies,
  { name, ownerEmail }: { name: string; ownerEmail: string },
): Promise<string> {
  const tenantId = await deps.names.claim(name, newTenantId(deps.random));
  await deps.tenants.putOnce(tenantId, { name, createdAt: deps.now() });
  const expiresAt = Math.floor(deps.now() / 1000) + invitationLifeSeconds;
  if (!(await deps.identities.invite({ email: ownerEmail, tenantId, roles: ['owner'], expiresAt }))) {
    throw new OperatorError(
      'EMAIL_INVITED_ELSEWHERE',
      'That address is invited to another tenant: create the tenant again with another one.',
    );
  }
  return tenantId;
}

/** An API key with an owner's scopes, for a day. */
async function ownerKey(deps: Dependencies, name: string, tenantId: string): Promise<TenantAnswer> {
  const key = newToken('api-key', deps.random);
  const expiresAt = Math.floor(deps.now() / 1000) + keyLifeSeconds;
  await deps.identities.putCredential({
    hash: key.hash,
    kind: 'api-key',
    tokenId: key.id,
    tenantId,
    scopes: roleScopes.owner.join(' '),
    expiresAt,
  });
  return { tenantId, name, apiKey: key.text, expiresAt: new Date(expiresAt * 1000).toISOString() };
}
