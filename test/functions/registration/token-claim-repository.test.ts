import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { IdentityRepository } from '../../../core/credential/identity-repository.ts';
import { newToken } from '../../../core/credential/token.ts';
import { TokenClaimRepository } from '../../../functions/registration/token-claim-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';

const claimOf = (clusterId: string, clusterName: string) => ({
  clusterId,
  clusterName,
  serial: '40',
  claimedAt: 1,
});

describe('the claim on a registration token', () => {
  let engine: Engine;
  let claims: TokenClaimRepository;
  let hash: string;
  beforeAll(async () => {
    engine = await startEngine();
    claims = new TokenClaimRepository(engine.dynamo, engine.tables.identities);
  });
  afterAll(() => engine.close());
  beforeEach(async () => {
    const token = newToken('registration-token');
    hash = token.hash;
    await new IdentityRepository(engine.dynamo, engine.tables.identities).putCredential({
      hash,
      kind: 'registration-token',
      tokenId: token.id,
      tenantId: 't-aaaaaaaaaaaaaaaaaaaa',
      scopes: 'registration:use',
      expiresAt: 99,
      clusterName: 'bound',
    });
  });

  test('is made once; the token keeps its binding and its tenant', async () => {
    expect(await claims.claim(hash, 'key', claimOf('c-1', 'a'))).toEqual({ replaced: undefined });
    expect(await claims.claim(hash, 'key', claimOf('c-2', 'a'))).toBeUndefined();
    expect(await claims.claim(hash, 'other', claimOf('c-3', 'b'))).toBeUndefined();
    expect(await claims.find(hash)).toMatchObject({
      tenantId: 't-aaaaaaaaaaaaaaaaaaaa',
      boundName: 'bound',
      use: { keyHash: 'key', claim: claimOf('c-1', 'a'), issued: false },
    });
  });

  test('is replaced by its own key under another name, until a certificate came of it', async () => {
    await claims.claim(hash, 'key', claimOf('c-1', 'a'));
    expect(await claims.claim(hash, 'key', claimOf('c-2', 'b'))).toEqual({ replaced: claimOf('c-1', 'a') });
    expect(await claims.issue(hash, 'c-1', 5)).toBe(false);
    expect(await claims.issue(hash, 'c-2', 5)).toBe(true);
    expect(await claims.issue(hash, 'c-2', 6)).toBe(true);
    expect(await claims.claim(hash, 'key', claimOf('c-3', 'c'))).toBeUndefined();
    expect((await claims.find(hash))?.use).toEqual({
      keyHash: 'key',
      claim: claimOf('c-2', 'b'),
      issued: true,
    });
  });

  test('is given back by its own attempt only, and not once a certificate came of it', async () => {
    await claims.claim(hash, 'key', claimOf('c-1', 'a'));
    await claims.release(hash, 'c-other');
    expect((await claims.find(hash))?.use).toBeDefined();
    await claims.release(hash, 'c-1');
    expect((await claims.find(hash))?.use).toBeUndefined();
    expect(await claims.claim(hash, 'other', claimOf('c-2', 'b'))).toEqual({ replaced: undefined });
    await claims.issue(hash, 'c-2', 5);
    await claims.release(hash, 'c-2');
    expect((await claims.find(hash))?.use?.issued).toBe(true);
  });

  test('cannot be made on a token that was revoked', async () => {
    expect(await claims.revokeUnused(hash)).toBe(true);
    expect(await claims.revokeUnused(hash)).toBe(true);
    expect(await claims.claim(hash, 'key', claimOf('c-1', 'a'))).toBeUndefined();
    expect(await claims.issue(hash, 'c-1', 5)).toBe(false);
    await claims.release(hash, 'c-1');
    expect(await claims.find(hash)).toBeUndefined();
  });

  test('keeps a used token from being revoked', async () => {
    await claims.claim(hash, 'key', claimOf('c-1', 'a'));
    expect(await claims.revokeUnused(hash)).toBe(false);
    expect(await claims.find(hash)).toBeDefined();
  });
});
