import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import QuickLRU from 'quick-lru';

type Entry = { readonly payload: AdapterPayload; readonly expiresAt: number };

/** More than a laptop's users ever have; beyond it the least recently used sign-ins are forgotten. */
const maxEntries = 10_000;

/**
 * Sessions, codes and grants of the issuer, until they expire. In memory on purpose: they belong to browsers that can
 * sign in again at no cost, while what outlives a restart (the ID tokens) needs the key alone.
 * `now` in epoch milliseconds.
 */
export function grantStore(now: () => number = Date.now): AdapterFactory {
  const entries = new QuickLRU<string, Entry>({ maxSize: maxEntries });

  const living = (key: string): AdapterPayload | undefined => {
    const entry = entries.get(key);
    if (!entry) return undefined;
    if (entry.expiresAt > now()) return entry.payload;
    entries.delete(key);
    return undefined;
  };

  return (model): Adapter => {
    const keyOf = (id: string) => `${model}:${id}`;
    const keysWhere = (matches: (payload: AdapterPayload) => boolean): string[] =>
      [...entries]
        .filter(([key, { payload }]) => key.startsWith(keyOf('')) && matches(payload))
        .map(([key]) => key);

    return {
      upsert(id, payload, expiresInSeconds) {
        const expiresAt = expiresInSeconds === undefined ? Infinity : now() + expiresInSeconds * 1000;
        entries.set(keyOf(id), { payload: { ...payload }, expiresAt });
        return Promise.resolve();
      },
      find: (id) => Promise.resolve(living(keyOf(id))),
      findByUid(uid) {
        const [key] = keysWhere((payload) => payload.uid === uid);
        return Promise.resolve(key === undefined ? undefined : living(key));
      },
      /** Only the device flow asks, and it is off. */
      findByUserCode: () => Promise.resolve(undefined),
      consume(id) {
        const entry = entries.get(keyOf(id));
        if (entry) entry.payload.consumed = Math.floor(now() / 1000);
        return Promise.resolve();
      },
      destroy(id) {
        entries.delete(keyOf(id));
        return Promise.resolve();
      },
      revokeByGrantId(grantId) {
        for (const key of keysWhere((payload) => payload.grantId === grantId)) entries.delete(key);
        return Promise.resolve();
      },
    };
  };
}
