import {
  apiKey,
  type ApiKeyIssued,
  apiKeyIssued,
  type ApiKeyView,
} from '../core/credential/api-key-schema.ts';
import type { ApiClient } from './api-client.ts';
import { span, table } from './table.ts';
import { secondsOf } from './time-span.ts';

type NewKey = { readonly name: string; readonly scopes?: readonly string[]; readonly ttl?: string };

export const createApiKey = (api: ApiClient, { name, scopes, ttl }: NewKey): Promise<ApiKeyIssued> =>
  api.post(apiKeyIssued, '/v1/api-keys', {
    name,
    ...(scopes === undefined ? {} : { scopes }),
    ...(ttl === undefined ? {} : { ttlSeconds: secondsOf(ttl) }),
  });

/** The tenant's keys, latest first. */
export async function listApiKeys(api: ApiClient): Promise<ApiKeyView[]> {
  const keys = await api.list(apiKey, '/v1/api-keys');
  return keys.sort((a, b) => (a.createdAt > b.createdAt ? -1 : 1));
}

/** `now`: epoch milliseconds. */
export const apiKeyTable = (keys: readonly ApiKeyView[], now: number): string =>
  keys.length === 0
    ? 'There are no API keys.\n'
    : table(
        ['ID', 'NAME', 'STATE', 'AGE', 'ENDS', 'LAST USED', 'BY', 'SCOPES'],
        keys.map((key) => [
          key.keyId,
          key.name,
          key.state,
          span(now - Date.parse(key.createdAt)),
          key.state === 'expired' ? '-' : `in ${span(Date.parse(key.expiresAt) - now)}`,
          key.lastUsedOn ?? '-',
          key.createdBy,
          key.scopes.join(','),
        ]),
      );

export const deleteApiKey = (api: ApiClient, keyId: string): Promise<void> =>
  api.delete(`/v1/api-keys/${encodeURIComponent(keyId)}`);
