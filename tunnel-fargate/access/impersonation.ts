import { clusterRolesOf } from '../../core/access/role-rules.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Caller } from '../../core/credential/caller.ts';

/** Whom a cluster sees instead of its own Guardian. */
export type ImpersonatedIdentity = { readonly user: string; readonly groups: readonly string[] };

/** Of every user and group that we make: a cluster's own, above all `system:`, are out of reach. */
const prefix = 'cattery:';

/**
 * The identity of a verified caller in a cluster that grants impersonation; undefined in the others. Users are
 * `cattery:user:<subject>` and `cattery:api-key:<keyId>`, groups `cattery:role:<role>` (of an API key those that its
 * scopes amount to) and `cattery:authenticated`; the API server adds `system:authenticated`.
 */
export function impersonatedIdentity(
  { impersonation }: Pick<ClusterRecord, 'impersonation'>,
  caller: Caller,
): ImpersonatedIdentity | undefined {
  if (impersonation !== true) return undefined;
  const roles = clusterRolesOf(caller).map((role) => `${prefix}role:${role}`);
  return { user: prefix + headerSafe(caller.principal), groups: [...roles, `${prefix}authenticated`] };
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation: one header for each group. */
export const impersonationHeaders = ({ user, groups }: ImpersonatedIdentity) => ({
  'impersonate-user': user,
  'impersonate-group': [...groups],
});

/**
 * Visible ASCII stays; the rest, and the percent sign, are percent-encoded as UTF-8, so that no two subjects become one
 * and none can end a header.
 */
const headerSafe = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[^\x21-\x24\x26-\x7e]/gu, (character) =>
      [...Buffer.from(character)]
        .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
        .join(''),
    );
