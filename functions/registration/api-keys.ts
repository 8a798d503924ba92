import type { Page, PageQuery } from '../../core/api/page.ts';
import type { ApiKeyIssued, ApiKeyRequest, ApiKeyView } from '../../core/credential/api-key-schema.ts';
import type { Caller } from '../../core/credential/caller.ts';
import type { Scope } from '../../core/credential/scope.ts';
import { newToken } from '../../core/credential/token.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { ApiKeyRecord } from './api-key-repository.ts';
import { isoTime } from './cluster-view.ts';
import type { Dependencies } from './deps.ts';

type Needs = Pick<Dependencies, 'apiKeys' | 'now' | 'random'> & {
  readonly identities: Pick<Dependencies['identities'], 'putCredential' | 'deleteCredential'>;
};

type Reads = Pick<Dependencies, 'apiKeys' | 'now'> & {
  readonly identities: Pick<Dependencies['identities'], 'lastUsedDays'>;
};

/**
 * Makes an API key. It is listed before it works, so that none works unlisted; one whose making stopped between the two
 * is listed, was told to nobody and never works. Throws ACCESS_DENIED for scopes that the caller has not, CONFLICT when
 * the key was deleted while it was made. Units: 2 writes, 1 read.
 */
export async function issueApiKey(
  deps: Needs,
  caller: Caller,
  { name, scopes: wanted, ttlSeconds }: ApiKeyRequest,
): Promise<ApiKeyIssued> {
  const scopes = granted(caller, wanted);
  const { id: keyId, hash, text } = newToken('api-key', deps.random);
  const createdAt = deps.now();
  // Credentials expire on whole seconds; a key never lives longer than asked for.
  const expiresAt = Math.floor(createdAt / 1000) + ttlSeconds;
  const { tenantId, principal } = caller;
  await deps.apiKeys.put(tenantId, {
    keyId,
    hash,
    name,
    scopes,
    createdAt,
    createdBy: principal,
    validUntil: expiresAt * 1000,
  });
  await deps.identities.putCredential({
    hash,
    kind: 'api-key',
    tokenId: keyId,
    tenantId,
    scopes: scopes.join(' '),
    expiresAt,
  });
  // Whoever took it off the list meanwhile found no credential to delete.
  if (!(await deps.apiKeys.find(tenantId, keyId))) {
    await deps.identities.deleteCredential(hash);
    throw new Problem('CONFLICT', 'The key was deleted while it was made.');
  }
  return { keyId, key: text, scopes, expiresAt: isoTime(expiresAt * 1000) };
}

/**
 * Deletes a key: its credential first, so that it works no more (within the 5 s for which the authorizer's answer is
 * kept), then its entry in the list, so that whoever asks again completes it. Throws NOT_FOUND. Units: 1 read, 2 writes.
 */
export async function deleteApiKey(deps: Needs, tenantId: string, keyId: string): Promise<void> {
  const key = await deps.apiKeys.find(tenantId, keyId);
  if (!key) throw new Problem('NOT_FOUND');
  await deps.identities.deleteCredential(key.hash);
  await deps.apiKeys.remove(tenantId, keyId);
}

/**
 * A page of a tenant's keys. Those who verify keys note the day of use beside the credential, which ends with the key; so
 * of an expired one it is not told. Units: 1 read per 4 KB (some 10 keys), and half a read for each key that has not expired.
 */
export async function listApiKeys(
  deps: Reads,
  tenantId: string,
  query: PageQuery,
): Promise<Page<ApiKeyView>> {
  const { items, ...next } = await deps.apiKeys.list(tenantId, query);
  const now = deps.now();
  const active = items.filter(({ validUntil }) => validUntil > now);
  const days = await deps.identities.lastUsedDays(active.map(({ hash }) => hash));
  return { items: items.map((key) => apiKeyView(key, now, days.get(key.hash))), ...next };
}

/** A key as the API lists it, never its text. `now`: epoch milliseconds. */
const apiKeyView = (key: ApiKeyRecord, now: number, lastUsedOn: string | undefined): ApiKeyView => ({
  keyId: key.keyId,
  name: key.name,
  scopes: [...key.scopes],
  state: key.validUntil <= now ? 'expired' : 'active',
  createdAt: isoTime(key.createdAt),
  createdBy: key.createdBy,
  expiresAt: isoTime(key.validUntil),
  ...(lastUsedOn === undefined ? {} : { lastUsedOn }),
});

/** Nobody gives what they have not. Keys that make further keys are asked for by name. */
function granted({ scopes: owned }: Caller, wanted: readonly Scope[] | undefined): Scope[] {
  if (!wanted) return [...owned].filter((scope) => scope !== 'api-keys:manage').sort();
  const lacking = wanted.filter((scope) => !owned.has(scope));
  if (lacking.length > 0) {
    throw new Problem('ACCESS_DENIED', `Your credential does not have ${lacking.join(', ')} itself.`);
  }
  return [...new Set(wanted)].sort();
}
