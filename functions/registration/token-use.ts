import { newSerial } from '../../core/certificate/serial-number.ts';
import { clusterNamePattern } from '../../core/cluster/cluster-schema.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import { newClusterId } from '../../core/tenant/identifier.ts';
import type { RequestedKey } from './certificate-request.ts';
import type { Dependencies } from './deps.ts';
import type { Claim, TokenRecord } from './token-claim-repository.ts';

/** One use of a registration token, admitted: what it asks for, and what it has led to so far. */
export type TokenUse = {
  readonly tenantId: string;
  readonly hash: string;
  readonly token: TokenRecord;
  readonly key: RequestedKey;
  readonly clusterName: string;
};

/** Throws CLUSTER_NAME_INVALID. */
export function checkName(clusterName: string): void {
  if (!clusterNamePattern.test(clusterName)) throw new Problem('CLUSTER_NAME_INVALID');
}

/** Finds the presented token. Throws UNAUTHENTICATED, CLUSTER_NAME_NOT_ALLOWED, TOKEN_SPENT. Units: 1 read. */
export async function admitToken(
  deps: Dependencies,
  caller: Caller,
  { clusterName, key }: { clusterName: string; key: RequestedKey },
): Promise<TokenUse> {
  const { tenantId, credentialHash: hash } = caller;
  if (caller.kind !== 'registration-token' || !hash) throw new Problem('ACCESS_DENIED');
  const token = await findToken(deps, tenantId, hash);
  if (token.boundName !== undefined && token.boundName !== clusterName) {
    throw new Problem('CLUSTER_NAME_NOT_ALLOWED');
  }
  const use = { tenantId, hash, token, key, clusterName };
  await refuseOtherKey(deps, use);
  return use;
}

/** The claim that this key made on this name before; undefined when it is the first attempt. */
export function claimOf({ token, key, clusterName }: TokenUse): Claim | undefined {
  const { use } = token;
  return use?.keyHash === key.keyHash && use.claim.clusterName === clusterName ? use.claim : undefined;
}

/**
 * Claims the token for this key and name: of any number of concurrent attempts one key wins, and all attempts of
 * that key get the same claim. Nothing is written when the name is taken.
 * Throws CLUSTER_NAME_TAKEN, TOKEN_SPENT, CONFLICT. Units: 1 read, 1 write; 2 more reads when it loses a race.
 */
export async function claimToken(deps: Dependencies, use: TokenUse): Promise<Claim> {
  const { tenantId, hash, key, clusterName } = use;
  const now = deps.now();
  if (use.token.use?.issued) throw otherName(use.token.use.claim);
  if (!(await deps.names.isFree(tenantId, clusterName, now))) {
    // Perhaps another attempt with this very token took it a moment ago: then that is the answer.
    const winner = await adopt(deps, use);
    if (winner) return winner;
    throw new Problem('CLUSTER_NAME_TAKEN');
  }
  const claim: Claim = {
    clusterId: newClusterId(deps.random),
    clusterName,
    serial: newSerial(deps.random),
    claimedAt: now,
  };
  const made = await deps.claims.claim(hash, key.keyHash, claim);
  if (made) {
    if (made.replaced) await deps.names.free({ tenantId, ...made.replaced });
    return claim;
  }
  const winner = await adopt(deps, use);
  if (winner) return winner;
  throw new Problem('CONFLICT', 'Another attempt with this token is under way: try again.', {
    headers: { 'Retry-After': '1' },
  });
}

/** The claim that stands now, if it is this key's on this name. */
async function adopt(deps: Dependencies, use: TokenUse): Promise<Claim | undefined> {
  const now = { ...use, token: await findToken(deps, use.tenantId, use.hash) };
  await refuseOtherKey(deps, now);
  const claim = claimOf(now);
  if (!claim && now.token.use?.issued) throw otherName(now.token.use.claim);
  return claim;
}

async function findToken(deps: Dependencies, tenantId: string, hash: string): Promise<TokenRecord> {
  const token = await deps.claims.find(hash);
  // The authorizer's answer is up to 5 s old: the token may have been revoked or have expired meanwhile.
  if (token?.tenantId !== tenantId || token.expiresAt * 1000 <= deps.now()) {
    throw new Problem('UNAUTHENTICATED');
  }
  return token;
}

/** A spent token with another key is somebody else's: refused, counted, and recorded as a security event. */
async function refuseOtherKey(deps: Dependencies, { tenantId, token, key }: TokenUse): Promise<void> {
  if (!token.use || token.use.keyHash === key.keyHash) return;
  const { tokenId } = token;
  deps.logger.warn('A spent registration token was used with another key', {
    securityEvent: 'REGISTRATION_TOKEN_REUSED',
    tenantId,
    tokenId,
    clusterId: token.use.claim.clusterId,
    keyHash: key.keyHash,
  });
  await deps.tokens.countRefusal(tenantId, tokenId);
  throw new Problem('TOKEN_SPENT');
}

const otherName = ({ clusterName }: Claim): Problem =>
  new Problem('CONFLICT', `This token has registered the cluster as ${clusterName}.`);
