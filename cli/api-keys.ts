import {
  apiKey,
  type ApiKeyIssued,
  apiKeyIssued,
  type ApiKeyView,
} from '../core/credential/api-key-schema.ts';
import type { ApiClient } from './api-client.ts';
import { Failure } from './failure.ts';
import { span, table } from './table.ts';

type NewKey = { readonly name: string; readonly scopes?: readonly string[]; readonly ttl?: string };

export const createApiKey = (api: ApiClient, { name, scopes, ttl }: NewKey): Promise<ApiKeyIssued> =>
  api.post(apiKeyIssued, '/v1/api-keys', {
    name,
    ...(scopes === undefined ? {} : { scopes }),
    ...(ttl === undefined ? {} : { ttlSeconds: seconds(ttl) }),
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
        ['ID', 'NAME', 'STATE', 'AGE', 'ENDS', 'BY', 'SCOPES'],
        keys.map((key) => [
          key.keyId,
          key.name,
          key.state,
          span(now - Date.parse(key.createdAt)),
          key.state === 'expired' ? '-' : `in ${span(Date.parse(key.expiresAt) - now)}`,
          key.createdBy,
          key.scopes.join(','),
        ]),
      );

export const deleteApiKey = (api: ApiClient, keyId: string): Promise<void> =>
  api.delete(`/v1/api-keys/${encodeURIComponent(keyId)}`);

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90d`, `12h`, `30m`, `600s`. */
function seconds(text: string): number {
  const [, count, unit] = /^(\d{1,8})([smhd])$/.exec(text) ?? [];
  const size = unit === undefined ? undefined : unitSeconds[unit];
  if (size === undefined)
    throw new Failure('usage', `${text} is no span of time: write 90d, 12h, 30m or 600s.`);
  return Number(count) * size;
}
