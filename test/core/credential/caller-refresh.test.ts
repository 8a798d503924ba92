import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import { type CallerRefresh, callerRefresh } from '../../../core/credential/caller-refresh.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { IdentityRepository, subjectPartition } from '../../../core/credential/identity-repository.ts';
import { roleScopes } from '../../../core/credential/scope.ts';
import { newToken } from '../../../core/credential/token.ts';
import { type Engine, startEngine } from '../../engine.ts';

const tenantA = `t-${'a'.repeat(20)}`;
const tenantB = `t-${'b'.repeat(20)}`;
const issuer = 'https://issuer.example';

describe('a caller who was verified before', () => {
  let engine: Engine;
  let identities: IdentityRepository;
  let now = Date.UTC(2026, 10, 23);
  let refresh: CallerRefresh;
  beforeAll(async () => {
    engine = await startEngine();
    identities = new IdentityRepository(engine.dynamo, engine.tables.identities);
    refresh = callerRefresh({ identities, issuer, now: () => now });
  });
  afterAll(() => engine.close());

  const user = (subject: string): Caller => ({
    kind: 'user',
    tenantId: tenantA,
    principal: `user:${subject}`,
    scopes: new Set(roleScopes.admin),
  });
  const join = (subject: string, tenantId: string, roles: readonly string[]) =>
    engine.dynamo.send(
      new PutCommand({
        TableName: engine.tables.identities,
        Item: { pk: subjectPartition(issuer, subject), sk: 'IDENTITY', tenantId, roles },
      }),
    );

  test('has the roles that the membership gives now', async () => {
    await join('ann', tenantA, ['viewer']);
    expect(await refresh(user('ann'))).toEqual({
      kind: 'user',
      tenantId: tenantA,
      principal: 'user:ann',
      scopes: new Set(roleScopes.viewer),
      roles: ['viewer'],
    });
  });

  test('is NOT_A_MEMBER when the membership is gone, or is one of another tenant', async () => {
    await expect(refresh(user('nobody'))).rejects.toMatchObject({ code: 'NOT_A_MEMBER' });
    await join('mover', tenantB, ['owner']);
    await expect(refresh(user('mover'))).rejects.toMatchObject({ code: 'NOT_A_MEMBER' });
  });

  test('with an API key is the same as at first, until the key is deleted or over: UNAUTHENTICATED', async () => {
    const verify = bearerVerifier({
      identities,
      issuer,
      audience: 'x',
      bindInvitations: false,
      now: () => now,
    });
    const keys = [newToken('api-key'), newToken('api-key')] as const;
    for (const { hash, id } of keys) {
      await identities.putCredential({
        hash,
        kind: 'api-key',
        tokenId: id,
        tenantId: tenantA,
        scopes: 'clusters:access',
        expiresAt: now / 1000 + 60,
      });
    }
    const [deleted, over] = [await verify(keys[0].text), await verify(keys[1].text)];
    expect(await refresh(deleted)).toEqual(deleted);
    await identities.deleteCredential(keys[0].hash);
    await expect(refresh(deleted)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    now += 60_000;
    await expect(refresh(over)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('costs 1 strongly consistent read, which may fail without saying anything about the caller', async () => {
    await join('priced', tenantA, ['viewer']);
    expect(await engine.units(() => refresh(user('priced')))).toEqual({ read: 1, write: 0 });
    const failing = callerRefresh({
      identities: {
        findMembership: () => Promise.reject(new Error('no answer')),
        findCredential: () => Promise.reject(new Error('no answer')),
      },
      issuer,
      now: () => now,
    });
    await expect(failing(user('priced'))).rejects.toThrow('no answer');
  });
});
