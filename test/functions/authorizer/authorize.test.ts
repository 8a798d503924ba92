import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, createLocalJWKSet } from 'jose';
import { callerOf } from '../../../core/api/authorizer-context.ts';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import { IdentityRepository } from '../../../core/credential/identity-repository.ts';
import { roleScopes } from '../../../core/credential/scope.ts';
import { newToken, type Token } from '../../../core/credential/token.ts';
import { authorize } from '../../../functions/authorizer/authorize.ts';
import { TokenClaimRepository } from '../../../functions/registration/token-claim-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';

const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';
const issuer = 'https://issuer.example';
const now = Date.UTC(2026, 10, 23, 8);
const methodArn = 'arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/GET/v1/clusters/c-x';

describe('the authorizer', () => {
  let engine: Engine;
  let identities: IdentityRepository;
  let sign: (claims: JWTPayload) => Promise<string>;
  let deps: Parameters<typeof authorize>[0];
  const logged: unknown[] = [];

  beforeAll(async () => {
    engine = await startEngine();
    identities = new IdentityRepository(engine.dynamo, engine.tables.identities);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k' }] });
    sign = (claims) =>
      new SignJWT({ iss: issuer, aud: 'cattery', exp: now / 1000 + 600, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .sign(privateKey);
    deps = {
      verify: bearerVerifier({
        identities,
        issuer,
        audience: 'cattery',
        bindInvitations: true,
        keys,
        now: () => now,
      }),
      logger: { error: (...line: unknown[]) => void logged.push(line) },
    };
  });
  afterAll(() => engine.close());

  const ask = (authorizationToken: string) =>
    authorize(deps, { type: 'TOKEN', authorizationToken, methodArn });
  const stored = async (kind: Token['kind'], more: object = {}): Promise<Token> => {
    const token = newToken(kind);
    await identities.putCredential({
      hash: token.hash,
      kind,
      tokenId: token.id,
      tenantId,
      scopes: 'clusters:read scans:write',
      ...more,
    });
    return token;
  };

  test('allows the whole stage to an API key and hands on who calls, as strings', async () => {
    const key = await stored('api-key');
    const result = await ask(`Bearer ${key.text}`);
    expect(result.policyDocument.Statement).toEqual([
      {
        Action: 'execute-api:Invoke',
        Effect: 'Allow',
        Resource: 'arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/*/*',
      },
    ]);
    expect(result.principalId).toBe(`api-key:${key.id}`);
    expect(Object.values(result.context ?? {}).every((value) => typeof value === 'string')).toBe(true);
    expect(callerOf(result.context)).toEqual({
      kind: 'api-key',
      tenantId,
      principal: `api-key:${key.id}`,
      scopes: new Set(['clusters:read', 'scans:write']),
      credentialHash: key.hash,
    });
  });

  test('gives the same policy for every method and path: what is cached must not refuse the next route', async () => {
    const { text } = await stored('api-key');
    const other = await authorize(deps, {
      type: 'TOKEN',
      authorizationToken: `Bearer ${text}`,
      methodArn: methodArn.replace('GET/v1/clusters/c-x', 'POST/v1/scans'),
    });
    expect(other.policyDocument).toEqual((await ask(`Bearer ${text}`)).policyDocument);
  });

  test('knows the cluster of a cluster token', async () => {
    const token = await stored('cluster', { clusterId: 'c-aaaaaaaaaaaaaaaaaaaa', scopes: 'cluster:report' });
    expect(callerOf((await ask(`Bearer ${token.text}`)).context)).toMatchObject({
      kind: 'cluster',
      clusterId: 'c-aaaaaaaaaaaaaaaaaaaa',
      principal: 'cluster:c-aaaaaaaaaaaaaaaaaaaa',
    });
  });

  test('lets a spent but unexpired registration token through, still as a registration token of no cluster', async () => {
    const token = await stored('registration-token', {
      scopes: 'registration:use',
      expiresAt: now / 1000 + 60,
    });
    const claims = new TokenClaimRepository(engine.dynamo, engine.tables.identities);
    const claim = { clusterId: 'c-aaaaaaaaaaaaaaaaaaaa', clusterName: 'x', serial: '40', claimedAt: now };
    await claims.claim(token.hash, 'key', claim);
    await claims.issue(token.hash, claim.clusterId, now);
    expect(callerOf((await ask(`Bearer ${token.text}`)).context)).toEqual({
      kind: 'registration-token',
      tenantId,
      principal: `registration-token:${token.id}`,
      scopes: new Set(['registration:use']),
      credentialHash: token.hash,
    });
  });

  test('answers 401 to what is no credential of anybody', async () => {
    const expired = await stored('api-key', { expiresAt: now / 1000 });
    const otherKind = await stored('api-key');
    const { text } = await stored('api-key');
    const wrong = [
      '',
      'Bearer',
      'Bearer ',
      `Basic ${Buffer.from(`x:${text}`).toString('base64')}`,
      text,
      `Bearer ${text} ${text}`,
      `Bearer ${text}, Bearer ${text}`,
      `Bearer ${newToken('api-key').text}`,
      `Bearer ${text.slice(0, -1)}${text.endsWith('a') ? 'b' : 'a'}`,
      `Bearer ${otherKind.text.replace('cak_', 'ccr_')}`,
      `Bearer ${expired.text}`,
      'Bearer a.b.c',
      `Bearer ${'a'.repeat(9_000)}`,
      `Bearer ${await sign({ sub: 'u', exp: now / 1000 - 60 })}`,
      `Bearer ${await sign({ sub: 'u', aud: 'another' })}`,
      `Bearer ${await sign({ sub: 'u', iss: 'https://evil.example' })}`,
      `Bearer ${await sign({ sub: 'u', token_use: 'access' })}`,
      `Bearer ${await sign({})}`,
    ];
    for (const header of wrong) await expect(ask(header)).rejects.toThrow(/^Unauthorized$/);
  });

  test('denies (403) a signed-in user of no tenant, without a context', async () => {
    const result = await ask(`Bearer ${await sign({ sub: 'stranger' })}`);
    expect(result.policyDocument.Statement).toMatchObject([{ Effect: 'Deny' }]);
    expect(result.context).toBeUndefined();
  });

  test('binds the first sign-in with an invited, verified address, and only that one', async () => {
    await identities.invite({
      email: 'Owner@Example.com',
      tenantId,
      roles: ['owner'],
      expiresAt: 4_000_000_000,
    });
    const unverified = await ask(`Bearer ${await sign({ sub: 'thief', email: 'owner@example.com' })}`);
    expect(unverified.policyDocument.Statement).toMatchObject([{ Effect: 'Deny' }]);
    const first = await ask(
      `Bearer ${await sign({ sub: 'owner', email: 'owner@example.com', email_verified: true })}`,
    );
    expect(callerOf(first.context)).toEqual({
      kind: 'user',
      tenantId,
      principal: 'user:owner',
      scopes: new Set(roleScopes.owner),
    });
    const second = await ask(
      `Bearer ${await sign({ sub: 'second', email: 'owner@example.com', email_verified: true })}`,
    );
    expect(second.policyDocument.Statement).toMatchObject([{ Effect: 'Deny' }]);
    const again = await ask(`Bearer ${await sign({ sub: 'owner' })}`);
    expect(callerOf(again.context)?.tenantId).toBe(tenantId);
  });

  test('answers neither 401 nor an Allow when the identities cannot be read, and logs no credential', async () => {
    const { text, hash } = await stored('api-key');
    const jwt = await sign({ sub: 'owner' });
    logged.length = 0;
    engine.faults.failWhen((operation) => operation === 'GetItem');
    try {
      for (const credential of [text, jwt]) {
        await expect(ask(`Bearer ${credential}`)).rejects.toThrow('The credential could not be verified');
      }
    } finally {
      engine.faults.mend();
    }
    expect(logged).toHaveLength(2);
    const lines = logged.map((line) => JSON.stringify(line, flat)).join('\n');
    for (const secret of [text, text.slice(20, 40), jwt, hash]) expect(lines).not.toContain(secret);
    expect((await ask(`Bearer ${text}`)).principalId).toContain('api-key:');
  });

  test('answers neither 401 nor an Allow when the issuer’s keys cannot be had', async () => {
    const verify = bearerVerifier({
      identities,
      issuer: 'http://127.0.0.1:1',
      audience: 'cattery',
      bindInvitations: true,
      now: () => now,
    });
    await expect(
      authorize(
        { ...deps, verify },
        {
          type: 'TOKEN',
          authorizationToken: `Bearer ${await sign({ sub: 'owner' })}`,
          methodArn,
        },
      ),
    ).rejects.toThrow('The credential could not be verified');
  });

  test('costs one read for a credential', async () => {
    const { text } = await stored('api-key');
    expect(await engine.units(() => ask(`Bearer ${text}`))).toEqual({ read: 1, write: 0 });
  });
});

/** Errors with what JSON would leave out. */
const flat = (_key: string, value: unknown): unknown =>
  value instanceof Error
    ? { name: value.name, message: value.message, stack: value.stack, cause: value.cause }
    : value;
