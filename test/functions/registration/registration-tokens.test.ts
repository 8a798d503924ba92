import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseToken } from '../../../core/credential/token.ts';
import { type Answered, member } from '../api-call.ts';
import { ecPair } from './certificate-requests.ts';
import { type Setting, start, startSetting, tenantA, tenantB } from './setting.ts';

describe('registration tokens', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting();
  });
  afterAll(() => setting.engine.close());

  const make = (body: unknown, tenantId = tenantA): Promise<Answered> =>
    setting.call({
      method: 'POST',
      path: '/v1/registration-tokens',
      body: JSON.stringify(body),
      caller: member(tenantId),
    });
  const list = async (tenantId = tenantA, query = {}): Promise<Record<string, unknown>[]> => {
    const answer = await setting.call({ path: '/v1/registration-tokens', query, caller: member(tenantId) });
    return answer.json().items as Record<string, unknown>[];
  };
  const revoke = (tokenId: string, tenantId = tenantA): Promise<Answered> =>
    setting.call({
      method: 'DELETE',
      path: `/v1/registration-tokens/${tokenId}`,
      resource: '/v1/registration-tokens/{tokenId}',
      params: { tokenId },
      caller: member(tenantId),
    });
  const listed = async (tokenId: string) => (await list()).find((token) => token.tokenId === tokenId);

  test('are shown once: recognisable, with a checksum, and only a hash is stored', async () => {
    const answer = await make({});
    expect(answer.status).toBe(201);
    const { tokenId, token, expiresAt } = answer.json() as Record<string, string>;
    expect(parseToken(token ?? '')).toMatchObject({ kind: 'registration-token', id: tokenId });
    expect(answer.headers.Location).toBe(`registration-tokens/${tokenId ?? ''}`);
    // An hour by default.
    expect(expiresAt).toBe(new Date(Math.floor(start / 1000) * 1000 + 3_600_000).toISOString());
    const stored = JSON.stringify(await setting.dump());
    expect(stored).toContain(tokenId);
    expect(stored).not.toContain((token ?? '').slice(20, 52));
    expect(JSON.stringify(await list())).not.toContain(parseToken(token ?? '')?.hash);
  });

  test.each([
    [{ ttlSeconds: 86_401 }, 400],
    [{ ttlSeconds: 59 }, 400],
    [{ ttlSeconds: 1.5 }, 400],
    [{ clusterName: 'Not Allowed' }, 400],
    [{ tenantId: tenantB }, 400],
    [{ ttlSeconds: 86_400 }, 201],
    [{ ttlSeconds: 60, clusterName: 'a.b-c' }, 201],
  ])('asked for with %j are answered %d', async (body, status) => {
    expect((await make(body)).status).toBe(status);
  });

  test('are listed as unused, then spent with their cluster, or expired', async () => {
    const { tokenId } = await setting.newToken({ clusterName: 'bound' });
    expect(await listed(tokenId)).toEqual({
      tokenId,
      clusterName: 'bound',
      state: 'unused',
      createdAt: new Date(setting.clock.now).toISOString(),
      createdBy: 'user:test',
      expiresAt: new Date(Math.floor(setting.clock.now / 1000) * 1000 + 3_600_000).toISOString(),
      refusedUses: 0,
    });
    const spent = await setting.connect('spending');
    expect(await listed(spent.tokenId)).toMatchObject({ state: 'spent', clusterId: spent.clusterId });
    setting.clock.now += 3_600_000;
    expect(await listed(tokenId)).toMatchObject({ state: 'expired' });
    expect(await listed(spent.tokenId)).toMatchObject({ state: 'spent' });
  });

  test('that are unused are revoked with 204 and work no more', async () => {
    const { tokenId, caller } = await setting.newToken();
    expect((await revoke(tokenId)).status).toBe(204);
    expect((await setting.register(caller, 'revoked', ecPair())).status).toBe(401);
    expect(await listed(tokenId)).toBeUndefined();
    expect((await revoke(tokenId)).status).toBe(404);
  });

  test('that are spent are not revoked: 409 TOKEN_NOT_REVOCABLE', async () => {
    const { tokenId } = await setting.connect('kept');
    const before = await setting.dump();
    const answer = await revoke(tokenId);
    expect([answer.status, answer.json().code]).toEqual([409, 'TOKEN_NOT_REVOCABLE']);
    expect(await setting.dump()).toEqual(before);
  });

  test('being revoked and used at once give either a cluster or a revocation, never both', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { tokenId, caller } = await setting.newToken();
      const [revoked, used] = await Promise.all([
        revoke(tokenId),
        setting.register(caller, `round-${round}`, ecPair()),
      ]);
      expect([`204 401`, `409 201`, `204 409`]).toContain(`${revoked.status} ${used.status}`);
    }
  });

  test('whose revocation died half-way are revoked by asking again', async () => {
    const { tokenId, caller } = await setting.newToken();
    setting.engine.faults.dieAfterWrite(1);
    expect((await revoke(tokenId)).status).toBe(500);
    setting.engine.faults.mend();
    expect((await setting.register(caller, 'half-revoked', ecPair())).status).toBe(401);
    expect((await revoke(tokenId)).status).toBe(204);
  });

  test('whose making died half-way are listed and do not work', async () => {
    const before = (await list()).length;
    setting.engine.faults.dieAfterWrite(1);
    expect((await make({})).status).toBe(500);
    setting.engine.faults.mend();
    expect(await list()).toHaveLength(before + 1);
    const { tenant = [], identities = [] } = await setting.dump();
    const hashes = tenant.flatMap(({ pk, hash }) =>
      String(pk).endsWith('REGISTRATION_TOKENS') ? [hash] : [],
    );
    const working = new Set(identities.map(({ pk }) => String(pk).replace('CREDENTIAL#', '')));
    expect(hashes.filter((hash) => !working.has(String(hash)))).toHaveLength(1);
  });
});
