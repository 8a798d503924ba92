import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Registered, Registration } from '../../core/cluster/cluster-schema.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import { readCertificateRequest } from './certificate-request.ts';
import { beginningOf, endOf, fingerprintOfPem, makeClusterCertificate } from './cluster-certificate.ts';
import type { Dependencies } from './deps.ts';
import type { RegistrationAnswer } from './registration-repository.ts';
import type { Claim } from './token-claim-repository.ts';
import { admitToken, checkName, claimOf, claimToken, type TokenUse } from './token-use.ts';

/** Beyond a token's end, a request that it admitted may still be at work: longer than this function's timeout. */
const graceSeconds = 120;

/**
 * Registers a cluster by ordered conditional writes to single items: the token is claimed, the name reserved, the
 * certificate issued, its answer stored, the cluster and its credentials written, the name kept, the token marked.
 * Whatever stops it, the same token and key complete it or get the same answer again; what nobody completes lapses
 * with its token.
 * Units: 4 reads and about 15 writes (6 of them the answer, 2 the cluster) the first time; about 5 reads again;
 * refused as spent 1 read and 1 write.
 */
export async function registerCluster(
  deps: Dependencies,
  caller: Caller,
  { clusterName, csr, cluster: facts }: Registration,
): Promise<Registered> {
  checkName(clusterName);
  const key = await readCertificateRequest(csr);
  const use = await admitToken(deps, caller, { clusterName, key });
  const begun = claimOf(use);
  const finished = begun && (await finishedAnswer(deps, use, begun));
  if (finished) return withToken(deps, finished);

  const trust = await deps.trust.read();
  if (!trust) throw new Problem('UNAVAILABLE', 'The certificates of this deployment are not made yet.');
  const claim = begun ?? (await claimToken(deps, use));
  const answer =
    (begun && (await deps.answers.find(use.tenantId, begun.clusterId))) ??
    (await issue(deps, use, claim, trust));
  return complete(deps, use, claim, answer, facts);
}

/** The answer of a registration that was completed before; undefined when it was not. Throws TOKEN_SPENT when its cluster is gone. */
async function finishedAnswer(
  deps: Dependencies,
  { tenantId, token }: TokenUse,
  { clusterId }: Claim,
): Promise<RegistrationAnswer | undefined> {
  const { kind } = await deps.registered.standing(tenantId, clusterId);
  if (kind === 'gone') throw disconnected();
  if (kind === 'absent') return undefined;
  const listed = await deps.tokens.find(tenantId, token.tokenId);
  return listed?.spentAt === undefined ? undefined : deps.answers.find(tenantId, clusterId);
}

/** Reserves the name, signs the certificate and stores the answer. Throws CLUSTER_NAME_TAKEN, CONFLICT. */
async function issue(
  deps: Dependencies,
  { tenantId, hash, token, key }: TokenUse,
  claim: Claim,
  trust: { trustBundle: string; roots: string },
): Promise<RegistrationAnswer> {
  const { clusterId, clusterName } = claim;
  const until = token.expiresAt + graceSeconds;
  if (!(await deps.names.reserve({ tenantId, ...claim }, until, deps.now()))) {
    await deps.claims.release(hash, clusterId);
    throw new Problem('CLUSTER_NAME_TAKEN');
  }
  const certificate = await makeClusterCertificate(deps.signer, {
    tenantId,
    clusterId,
    trustDomain: deps.trustDomain,
    spki: key.spki,
    serial: claim.serial,
    notBefore: beginningOf(claim.claimedAt),
  });
  if (!(await deps.claims.issue(hash, clusterId, deps.now()))) {
    await deps.names.free({ tenantId, ...claim });
    throw new Problem('CONFLICT', 'The same key used this token for another name at the same time.');
  }
  const answer = {
    clusterId,
    clusterName,
    certificate,
    trustBundle: trust.trustBundle,
    logTrust: trust.roots,
    tunnelAddress: deps.tunnelAddress,
  };
  return deps.answers.putOnce(tenantId, answer, until);
}

/** Writes the cluster and what lets it in. Each write is idempotent; the last one says that all are done. */
async function complete(
  deps: Dependencies,
  { tenantId, token }: TokenUse,
  claim: Claim,
  answer: RegistrationAnswer,
  facts: Registration['cluster'],
): Promise<Registered> {
  const { clusterId, clusterName, claimedAt } = claim;
  const clusterToken = await deps.clusterTokens(clusterId);
  const record: ClusterRecord = {
    clusterId,
    clusterName,
    registeredAt: claimedAt,
    facts,
    certificate: answer.certificate,
    fingerprint: fingerprintOfPem(answer.certificate),
    notAfter: endOf(beginningOf(claimedAt)),
    tokenHash: clusterToken.hash,
  };
  const { fingerprint, notAfter } = record;
  const stored = await deps.registered.putOnce(tenantId, record);
  // Another certificate in its place by now: this very registration had been answered, and was renewed since.
  const same =
    stored.kind === 'live' &&
    (stored.record.fingerprint === fingerprint || stored.record.renewedAt !== undefined);
  if (!same) return takeBack(deps, tenantId, record);
  await deps.certificates.publish({ fingerprint, tenantId, clusterId, notAfter });
  await deps.identities.putCredential({
    hash: clusterToken.hash,
    kind: 'cluster',
    tokenId: clusterToken.id,
    tenantId,
    scopes: 'cluster:report',
    clusterId,
  });
  const kept = await deps.names.keep({ tenantId, clusterName, clusterId });
  // Somebody may have disconnected the cluster while it was being completed: then nothing of it may stay.
  const { kind } = await deps.registered.standing(tenantId, clusterId);
  if (!kept || kind !== 'live') return takeBack(deps, tenantId, record);
  await deps.tokens.markSpent(tenantId, token.tokenId, clusterId, deps.now());
  deps.logger.info('cluster registered', { tenantId, clusterId, tokenId: token.tokenId, fingerprint });
  return { ...answer, clusterToken: clusterToken.text };
}

/** Undoes what was written after the cluster was disconnected. Throws TOKEN_SPENT. */
async function takeBack(deps: Dependencies, tenantId: string, record: ClusterRecord): Promise<never> {
  const { clusterId } = record;
  await deps.answers.remove(tenantId, clusterId);
  await deps.certificates.revoke(record, deps.now());
  await deps.identities.deleteCredential(record.tokenHash);
  await deps.names.free({ tenantId, ...record });
  throw disconnected();
}

const withToken = async (deps: Dependencies, answer: RegistrationAnswer): Promise<Registered> => ({
  ...answer,
  clusterToken: (await deps.clusterTokens(answer.clusterId)).text,
});

const disconnected = (): Problem =>
  new Problem('TOKEN_SPENT', 'The cluster that this token registered has been disconnected.');
