import { roleScopes } from '../../core/credential/scope.ts';
import { newToken } from '../../core/credential/token.ts';
import { newTenantId } from '../../core/tenant/identifier.ts';
import type { Dependencies } from './deps.ts';
import { OperatorError } from './operator-error.ts';
import { type OperatorAnswer, type OperatorRequest, operatorRequest } from './operator-request.ts';

const keyLifeSeconds = 86_400;
/** How long an invited owner may take to sign in for the first time. */
const invitationLifeSeconds = 30 * 86_400;

/**
 * Carries out one request of the operator. Creating a tenant is idempotent by its name and completes an attempt that
 * stopped half-way; each time it gives a new owner's key. Throws OperatorError.
 * Units: create 4 writes (1 read when the name is known), key 1 read and 1 write.
 */
export async function operate(deps: Dependencies, event: unknown): Promise<OperatorAnswer> {
  const request = operatorRequest.safeParse(event);
  if (!request.success) {
    const [issue] = request.error.issues;
    throw new OperatorError('INVALID_REQUEST', `/${issue?.path.join('/') ?? ''} ${issue?.message ?? ''}`);
  }
  return ownerKey(deps, request.data.name, await tenantFor(deps, request.data));
}

async function tenantFor(deps: Dependencies, request: OperatorRequest): Promise<string> {
  const { name } = request;
  if (request.action === 'owner-key') {
    const tenantId = await deps.names.find(name);
    if (!tenantId) throw new OperatorError('TENANT_NOT_FOUND', `There is no tenant ${name}.`);
    return tenantId;
  }
  const tenantId = await deps.names.claim(name, newTenantId(deps.random));
  await deps.tenants.putOnce(tenantId, { name, createdAt: deps.now() });
  const expiresAt = Math.floor(deps.now() / 1000) + invitationLifeSeconds;
  if (!(await deps.identities.invite({ email: request.ownerEmail, tenantId, roles: ['owner'], expiresAt }))) {
    throw new OperatorError(
      'EMAIL_INVITED_ELSEWHERE',
      'That address is invited to another tenant: create the tenant again with another one.',
    );
  }
  return tenantId;
}

/** An API key with an owner's scopes, for a day. */
async function ownerKey(deps: Dependencies, name: string, tenantId: string): Promise<OperatorAnswer> {
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
