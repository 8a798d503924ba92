import type * as z from 'zod';
import type { Caller } from '../../core/credential/caller.ts';
import type {
  registrationTokenIssued,
  registrationTokenRequest,
  RegistrationTokenView,
} from '../../core/credential/registration-token-schema.ts';
import { newToken } from '../../core/credential/token.ts';
import { Problem } from '../../core/problem/problem.ts';
import { isoTime } from './cluster-view.ts';
import type { Dependencies } from './deps.ts';
import type { RegistrationTokenRecord } from './registration-token-repository.ts';

type Needs = Pick<Dependencies, 'tokens' | 'claims' | 'identities' | 'now' | 'random'>;

/** Makes a token that registers one cluster. It is listed before it works, so that none works unlisted. Units: 2 writes. */
export async function issueRegistrationToken(
  deps: Needs,
  { tenantId, principal }: Caller,
  { clusterName, ttlSeconds }: z.infer<typeof registrationTokenRequest>,
): Promise<z.infer<typeof registrationTokenIssued>> {
  const token = newToken('registration-token', deps.random);
  const createdAt = deps.now();
  // Credentials expire on whole seconds; a token never lives longer than asked for.
  const expiresAt = Math.floor(createdAt / 1000) + ttlSeconds;
  await deps.tokens.put(tenantId, {
    tokenId: token.id,
    hash: token.hash,
    ...(clusterName === undefined ? {} : { boundName: clusterName }),
    createdAt,
    createdBy: principal,
    validUntil: expiresAt * 1000,
    refusedUses: 0,
  });
  await deps.identities.putCredential({
    hash: token.hash,
    kind: 'registration-token',
    tokenId: token.id,
    tenantId,
    scopes: 'registration:use',
    expiresAt,
    ...(clusterName === undefined ? {} : { clusterName }),
  });
  return { tokenId: token.id, token: token.text, expiresAt: isoTime(expiresAt * 1000) };
}

/**
 * Takes an unused token out of use: its credential first, so that it works no more, then its entry in the list.
 * Throws NOT_FOUND, TOKEN_NOT_REVOCABLE. Units: 1 read, 2 writes.
 */
export async function revokeRegistrationToken(deps: Needs, tenantId: string, tokenId: string): Promise<void> {
  const token = await deps.tokens.find(tenantId, tokenId);
  if (!token) throw new Problem('NOT_FOUND');
  if (token.spentAt !== undefined || !(await deps.claims.revokeUnused(token.hash))) {
    throw new Problem('TOKEN_NOT_REVOCABLE');
  }
  await deps.tokens.remove(tenantId, tokenId);
}

/** A token as the API lists it, never its text. `now`: epoch milliseconds. */
export const registrationTokenView = (
  token: RegistrationTokenRecord,
  now: number,
): RegistrationTokenView => ({
  tokenId: token.tokenId,
  ...(token.boundName === undefined ? {} : { clusterName: token.boundName }),
  state: token.spentAt !== undefined ? 'spent' : token.validUntil <= now ? 'expired' : 'unused',
  createdAt: isoTime(token.createdAt),
  createdBy: token.createdBy,
  expiresAt: isoTime(token.validUntil),
  ...(token.clusterId === undefined ? {} : { clusterId: token.clusterId }),
  refusedUses: token.refusedUses,
});
