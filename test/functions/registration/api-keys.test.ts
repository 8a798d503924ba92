import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { KeyUse } from '../../../core/credential/key-use.ts';
import { roleScopes, type Scope } from '../../../core/credential/scope.ts';
import { parseToken } from '../../../core/credential/token.ts';
import { issueApiKey } from '../../../functions/registration/api-keys.ts';
import { unitsAreExact } from '../../engine.ts';
import { type Answered, member } from '../api-call.ts';
import { type Setting, start, startSetting, tenantA, tenantB } from './setting.ts';

const daySeconds = 86_400;

describe('API keys', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting();
  });
  afterAll(() => setting.engine.close());

  const send = (more: object, caller: Caller): Promise<Answered> =>
    setting.call({ path: '/v1/api-keys', caller, ...more });
  const make = (body: unknown, caller = member(tenantA)): Promise<Answered> =>
    send({ method: 'POST', body: JSON.stringify(body) }, caller);
  const made = async (body: unknown = { name: 'ci' }, caller = member(tenantA)) => {
    const answer = await make(body, caller);
    expect(answer.status).toBe(201);
    return answer.json() as { keyId: string; key: string; scopes: Scope[]; expiresAt: string };
  };
  const list = async (query = {}, caller = member(tenantA)) =>
    (await send({ query }, caller)).json() as { items: { keyId: string }[]; nextCursor?: string };
  const listed = async (keyId: string) =>
    (await list({ limit: '200' })).items.find((key) => key.keyId === keyId);
  const remove = (keyId: string, caller = member(tenantA)): Promise<Answered> =>
    send(
      {
        method: 'DELETE',
        path: `/v1/api-keys/${keyId}`,
        resource: '/v1/api-keys/{keyId}',
        params: { keyId },
      },
      caller,
    );
  /** As the authorizer sees it. */
  const verified = (key: string): Promise<Caller> => {
    const { identities, now } = setting.deps;
    const keyUse = new KeyUse({
      identities,
      now,
      failed: (error) => {
        throw error;
      },
    });
    return bearerVerifier({
      identities,
      issuer: 'https://issuer.example',
      audience: 'cattery',
      bindInvitations: false,
      now,
      used: (record) => keyUse.note(record),
    })(key);
  };

  test('that are deleted while they are made do not work: 409 CONFLICT, and no credential', async () => {
    const { identities, apiKeys } = setting.deps;
    const before = (await setting.dump()) as { identities?: unknown[] };
    const racing = {
      ...setting.deps,
      identities: {
        putCredential: async (record: Parameters<typeof identities.putCredential>[0]) => {
          await apiKeys.remove(tenantA, record.tokenId);
          await identities.putCredential(record);
        },
        deleteCredential: (hash: string) => identities.deleteCredential(hash),
      },
    };
    await expect(
      issueApiKey(racing, member(tenantA), { name: 'racing', ttlSeconds: 60 }),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await setting.dump()).toEqual(before);
  });

  test('are shown once: recognisable, with a checksum, and only a hash is stored', async () => {
    const answer = await make({ name: 'ci' });
    expect(answer.status).toBe(201);
    const { keyId, key, expiresAt } = answer.json() as Record<string, string>;
    expect(parseToken(key ?? '')).toMatchObject({ kind: 'api-key', id: keyId });
    expect(answer.headers.Location).toBe(`api-keys/${keyId ?? ''}`);
    expect(expiresAt).toBe(new Date(Math.floor(start / 1000) * 1000 + 90 * daySeconds * 1000).toISOString());
    const stored = JSON.stringify(await setting.dump());
    expect(stored).toContain(keyId);
    expect(stored).not.toContain((key ?? '').slice(20, 52));
    expect(JSON.stringify(await list({ limit: '200' }))).not.toContain(parseToken(key ?? '')?.hash);
  });

  test('work as their own principal, with their scopes and no other, until they expire', async () => {
    const { keyId, key } = await made({ name: 'push', scopes: ['scans:write'], ttlSeconds: 60 });
    const caller = await verified(key);
    expect(caller).toMatchObject({ kind: 'api-key', tenantId: tenantA, principal: `api-key:${keyId}` });
    expect([...caller.scopes]).toEqual(['scans:write']);
    const usedOn = new Date(setting.clock.now).toISOString().slice(0, 10);
    expect(await listed(keyId)).toEqual({
      keyId,
      name: 'push',
      scopes: ['scans:write'],
      state: 'active',
      createdAt: new Date(setting.clock.now).toISOString(),
      createdBy: 'user:test',
      expiresAt: new Date(Math.floor(setting.clock.now / 1000) * 1000 + 60_000).toISOString(),
      lastUsedOn: usedOn,
    });
    setting.clock.now += 60_000;
    await expect(verified(key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await listed(keyId)).toMatchObject({ state: 'expired' });
  });

  test('have, when none are named, the scopes of who makes them but api-keys:manage', async () => {
    const { key, scopes } = await made({ name: 'all' });
    expect(scopes).toEqual(roleScopes.owner.filter((scope) => scope !== 'api-keys:manage').sort());
    expect([...(await verified(key)).scopes].sort()).toEqual(scopes);
  });

  test('give nobody what they have not: 403 ACCESS_DENIED names the scopes, and nothing is stored', async () => {
    const keeper = await verified(
      (await made({ name: 'k', scopes: ['api-keys:manage', 'images:read'] })).key,
    );
    const before = await setting.dump();
    const refused = await make({ name: 'more', scopes: ['images:read', 'scans:write'] }, keeper);
    expect([refused.status, refused.json().code]).toEqual([403, 'ACCESS_DENIED']);
    expect(refused.json().detail).toContain('scans:write');
    expect(refused.json().detail).not.toContain('images:read');
    for (const scope of ['registration:use', 'cluster:report'])
      expect((await make({ name: 'x', scopes: [scope] })).status).toBe(403);
    expect(await setting.dump()).toEqual(before);
    expect((await made({ name: 'same' }, keeper)).scopes).toEqual(['images:read']);
  });

  test.each([
    [{}, 400],
    [{ name: '' }, 400],
    [{ name: ' padded ' }, 400],
    [{ name: 'bell\u0007' }, 400],
    [{ name: 'a'.repeat(65) }, 400],
    [{ name: 'x', scopes: [] }, 400],
    [{ name: 'x', scopes: ['everything'] }, 400],
    [{ name: 'x', ttlSeconds: 59 }, 400],
    [{ name: 'x', ttlSeconds: 366 * daySeconds + 1 }, 400],
    [{ name: 'x', tenantId: tenantB }, 400],
    [{ name: 'a'.repeat(64), ttlSeconds: 366 * daySeconds }, 201],
    [{ name: 'x', scopes: ['images:read', 'images:read'], ttlSeconds: 60 }, 201],
  ])('asked for with %j are answered %d', async (body, status) => {
    expect((await make(body)).status).toBe(status);
  });

  test.each([
    ['viewer', 403],
    ['editor', 403],
    ['admin', 201],
    ['owner', 201],
  ] as const)('made by a %s are answered %d', async (role, status) => {
    expect((await make({ name: 'role' }, member(tenantA, role))).status).toBe(status);
  });

  test('of one name overlap while one replaces the other; deleting the old one leaves the new one', async () => {
    const old = await made({ name: 'rotated' });
    await verified(old.key);
    setting.clock.now += daySeconds * 1000;
    const fresh = await made({ name: 'rotated' });
    for (const { key, keyId } of [old, fresh])
      expect((await verified(key)).principal).toBe(`api-key:${keyId}`);
    const both = (await list({ limit: '200' })).items as { name?: string; keyId: string; state?: string }[];
    expect(both.filter(({ name, state }) => name === 'rotated' && state === 'active')).toHaveLength(2);
    expect((await remove(old.keyId)).status).toBe(204);
    await expect(verified(old.key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect((await verified(fresh.key)).principal).toBe(`api-key:${fresh.keyId}`);
    expect(await listed(old.keyId)).toBeUndefined();
    expect((await remove(old.keyId)).status).toBe(404);
  });

  test('are listed with the last day on which they were used, in UTC, and without one while they were not', async () => {
    const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
    const { keyId, key } = await made({ name: 'daily', ttlSeconds: 10 * daySeconds });
    expect(await listed(keyId)).not.toHaveProperty('lastUsedOn');
    await verified(key);
    expect(await listed(keyId)).toMatchObject({ lastUsedOn: day(setting.clock.now) });
    setting.clock.now += 3 * daySeconds * 1000;
    expect(await listed(keyId)).toMatchObject({ lastUsedOn: day(setting.clock.now - 3 * daySeconds * 1000) });
    await verified(key);
    expect(await listed(keyId)).toMatchObject({ lastUsedOn: day(setting.clock.now), state: 'active' });
    setting.clock.now += 10 * daySeconds * 1000;
    await expect(verified(key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await listed(keyId)).toMatchObject({ state: 'expired' });
    expect(await listed(keyId)).not.toHaveProperty('lastUsedOn');
  });

  test('of another tenant are 404 to delete and are not listed, nor is their cursor taken', async () => {
    const theirs = await made({ name: 'theirs' }, member(tenantB));
    await made({ name: 'theirs, too' }, member(tenantB));
    expect(await listed(theirs.keyId)).toBeUndefined();
    expect((await remove(theirs.keyId)).status).toBe(404);
    expect((await verified(theirs.key)).tenantId).toBe(tenantB);
    const { nextCursor } = await list({ limit: '1' }, member(tenantB));
    expect((await list({ limit: '1', cursor: nextCursor }, member(tenantB))).items).toHaveLength(1);
    expect(await list({ limit: '1', cursor: nextCursor })).toMatchObject({ code: 'INVALID_CURSOR' });
  });

  test('whose deletion died after any write work no more, and are deleted by asking again', async () => {
    for (const nth of [1, 2]) {
      const { keyId, key } = await made();
      setting.engine.faults.dieAfterWrite(nth);
      expect((await remove(keyId)).status).toBe(500);
      setting.engine.faults.mend();
      await expect(verified(key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      // After the second write everything is gone: the one who asks again is told so.
      expect([nth, (await remove(keyId)).status]).toEqual([nth, nth === 1 ? 204 : 404]);
      expect(await listed(keyId)).toBeUndefined();
    }
  });

  test('whose making died half-way are listed, do not work, and can be deleted', async () => {
    const before = new Set((await list({ limit: '200' })).items.map(({ keyId }) => keyId));
    setting.engine.faults.dieAfterWrite(1);
    expect((await make({ name: 'half' })).status).toBe(500);
    setting.engine.faults.mend();
    const added = (await list({ limit: '200' })).items.filter(({ keyId }) => !before.has(keyId));
    expect(added).toMatchObject([{ name: 'half', state: 'active' }]);
    const keyId = added[0]?.keyId ?? '';
    const { identities = [] } = await setting.dump();
    expect(identities.filter(({ tokenId }) => tokenId === keyId)).toEqual([]);
    expect((await remove(keyId)).status).toBe(204);
  });

  (unitsAreExact ? test : test.skip)('cost the units that their documentation says', async () => {
    const own = await startSetting({ seed: 'units of keys' });
    try {
      const units = async (call: object) => {
        const used = await own.engine.units(async () => {
          const { status } = await own.call({ path: '/v1/api-keys', caller: member(tenantA), ...call });
          expect(status).toBeLessThan(300);
        });
        return [used.read, used.write];
      };
      expect(await units({ method: 'POST', body: JSON.stringify({ name: 'ci' }) })).toEqual([1, 2]);
      // The list, and what is noted of the one key in it.
      expect(await units({})).toEqual([1.5, 0]);
      const { items } = await own.deps.apiKeys.list(tenantA, { limit: 1 });
      const params = { keyId: items[0]?.keyId ?? '' };
      const resource = '/v1/api-keys/{keyId}';
      expect(await units({ method: 'DELETE', resource, params })).toEqual([1, 2]);
    } finally {
      await own.engine.close();
    }
  });
});
