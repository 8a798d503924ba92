import type { Dependencies } from './deps.ts';
import { OperatorError } from './operator-error.ts';
import type { MemberAnswer, OperatorRequest } from './operator-request.ts';

/** How long somebody who is invited may take to sign in for the first time. */
export const invitationLifeSeconds = 30 * 86_400;

type Tenant = { readonly tenantId: string; readonly name: string };
type Asked<Action extends OperatorRequest['action']> = Extract<OperatorRequest, { action: Action }>;

/**
 * The first sign-in with that address, verified by the issuer, becomes a member with the role. Asked again, the
 * invitation has the new role and a new end. Throws EMAIL_INVITED_ELSEWHERE. Units: 1 write.
 */
export async function inviteMember(
  { identities, now }: Pick<Dependencies, 'identities' | 'now'>,
  tenant: Tenant,
  { email, role }: Omit<Asked<'invite-member'>, 'action' | 'name'>,
): Promise<MemberAnswer> {
  const expiresAt = Math.floor(now() / 1000) + invitationLifeSeconds;
  if (!(await identities.invite({ email, tenantId: tenant.tenantId, roles: [role], expiresAt }))) {
    throw new OperatorError('EMAIL_INVITED_ELSEWHERE', 'That address is invited to another tenant.');
  }
  return { ...tenant, email, role, expiresAt: new Date(expiresAt * 1000).toISOString() };
}

/** Gives a member another role; what they have open is judged by it within 5 s. Throws MEMBER_NOT_FOUND. Units: 1 write. */
export async function setMemberRole(
  { identities, issuer }: Pick<Dependencies, 'identities' | 'issuer'>,
  tenant: Tenant,
  { subject, role }: Omit<Asked<'set-member-role'>, 'action' | 'name'>,
): Promise<MemberAnswer> {
  const { tenantId } = tenant;
  if (!(await identities.setRoles({ issuer, subject, tenantId, roles: [role] })))
    throw notFound(subject, tenant);
  return { ...tenant, subject, role };
}

/**
 * Ends a membership, by subject, and withdraws an invitation, by address; with both, a user whose first sign-in is under
 * way does not come back. What a removed member has open ends within 5 s. The API keys that they made are not theirs:
 * they stay. Throws MEMBER_NOT_FOUND when there was neither. Units: 1 write each.
 */
export async function removeMember(
  { identities, issuer }: Pick<Dependencies, 'identities' | 'issuer'>,
  tenant: Tenant,
  { subject, email }: Omit<Asked<'remove-member'>, 'action' | 'name'>,
): Promise<MemberAnswer> {
  const { tenantId } = tenant;
  // The invitation first: what it would bind after the membership is gone would be a new one.
  const invitation = email !== undefined && (await identities.withdrawInvitation({ email, tenantId }));
  const membership =
    subject !== undefined && (await identities.removeMembership({ issuer, subject, tenantId }));
  if (!invitation && !membership) throw notFound(subject ?? email ?? '', tenant);
  return {
    ...tenant,
    ...(subject === undefined ? {} : { subject }),
    ...(email === undefined ? {} : { email }),
    removed: { membership, invitation },
  };
}

const notFound = (who: string, { name }: Tenant): OperatorError =>
  new OperatorError(
    'MEMBER_NOT_FOUND',
    `The tenant ${name} has no member or invitation ${who}. Who has signed in is known by subject, not by address.`,
  );
