import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, createLocalJWKSet } from 'jose';
import { callerOf } from '../../../core/api/authorizer-context.ts';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import { IdentityRepository } from '../../../core/credential/identity-repository.ts';
import { KeyUse } from '../../../core/credential/key-use.ts';
import { roleScopes } from '../../../core/credential/scope.ts';
import { newToken, type Token } from '../../../core/credential/token.ts';
import { authorize } from '../../../functions/authorizer/authorize.ts';
import { TokenClaimRepository } from '../../../functions/registration/token-claim-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';

type Event = Parameters<typeof authorize>[1];

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
  /** What was counted, and for whom a refusal was held back, in their order. */
  const refusals: string[] = [];

  beforeAll(async () => {
    engine = await startEngine();
    identities = new IdentityRepository(engine.dynamo, engine.tables.identities);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'k' }] });
    sign = (claims) =>
      new SignJWT({ iss: issuer, aud: 'cattery', exp: now / 1000 + 600, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .sign(privateKey);
    const keyUse = new KeyUse({
      identities,
      now: () => now,
      failed: (error) => void logged.push(error),
    });
    deps = {
      verify: bearerVerifier({
        identities,
        issuer,
        audience: 'cattery',
        bindInvitations: true,
        keys,
        now: () => now,
        used: (record) => keyUse.note(record),
      }),
      logger: { error: (...line: unknown[]) => void logged.push(line) },
      refused: (kind) => void refusals.push(kind),
      pace: {
        refused: (address) => {
          refusals.push(address);
          return Promise.resolve();
        },
      },
    };
  });
  afterAll(() => engine.close());

  const ask = (header: string, { arn = methodArn, using = deps } = {}) =>
    authorize(using, eventOf({ Authorization: [header] }, arn));
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
    const arn = methodArn.replace('GET/v1/clusters/c-x', 'POST/v1/scans');
    const other = await ask(`Bearer ${text}`, { arn });
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
    for (const headers of [null, {}, { Cookie: [`Bearer ${text}`] }])
      await expect(authorize(deps, eventOf(headers))).rejects.toThrow(/^Unauthorized$/);
  });

  test('takes the one header Authorization, however it is written, and refuses two of them', async () => {
    const [key, other] = [await stored('api-key'), await stored('api-key')];
    const [bearer, second] = [`Bearer ${key.text}`, `Bearer ${other.text}`];
    for (const name of ['authorization', 'Authorization', 'AUTHORIZATION'])
      expect((await authorize(deps, eventOf({ [name]: [bearer] }))).principalId).toBe(`api-key:${key.id}`);
    const twice = [
      { Authorization: [bearer, second] },
      { Authorization: [bearer, bearer] },
      { authorization: [bearer], Authorization: [second] },
    ];
    for (const headers of twice)
      await expect(authorize(deps, eventOf(headers))).rejects.toThrow(/^Unauthorized$/);
  });

  test('counts each refused credential by its kind and holds its answer back for its address, before it answers', async () => {
    const expired = await stored('api-key', { expiresAt: now / 1000 });
    const { text } = await stored('api-key');
    const each = [
      [newToken('api-key').text, 'api-key'],
      [expired.text, 'api-key'],
      [text.slice(0, -1), 'api-key'],
      [newToken('registration-token').text, 'registration-token'],
      [newToken('cluster').text, 'cluster'],
      [await sign({ sub: 'u', exp: now / 1000 - 60 }), 'user'],
      ['x', 'other'],
    ] as const;
    for (const [bearer, kind] of each) {
      refusals.length = 0;
      await expect(ask(`Bearer ${bearer}`)).rejects.toThrow(/^Unauthorized$/);
      expect([bearer, ...refusals]).toEqual([bearer, kind, '192.0.2.7']);
    }
    const released = Promise.withResolvers<undefined>();
    let answered = false;
    const held = ask('Bearer x', { using: { ...deps, pace: { refused: () => released.promise } } }).catch(
      () => (answered = true),
    );
    await ask(`Bearer ${text}`);
    expect(answered).toBe(false);
    released.resolve(undefined);
    await held;
    expect(answered).toBe(true);
  });

  test('neither counts nor holds back who is accepted, who belongs to no tenant, or what could not be verified', async () => {
    const { text } = await stored('api-key');
    const stranger = await sign({ sub: 'no member' });
    refusals.length = 0;
    await ask(`Bearer ${text}`);
    await ask(`Bearer ${stranger}`);
    engine.faults.failWhen((operation) => operation === 'GetItem');
    await expect(ask(`Bearer ${text}`)).rejects.toThrow('could not be verified');
    engine.faults.mend();
    expect(refusals).toEqual([]);
  });

  test('notes the day of an API key’s use, once a day: 1 write at the first, none at the next', async () => {
    const key = await stored('api-key');
    const cluster = await stored('cluster', { clusterId: 'c-aaaaaaaaaaaaaaaaaaaa' });
    const units = (token: Token) => engine.units(() => ask(`Bearer ${token.text}`));
    expect(await units(key)).toEqual({ read: 1, write: 1 });
    expect(await units(key)).toEqual({ read: 1, write: 0 });
    expect(await units(cluster)).toEqual({ read: 1, write: 0 });
    expect(await identities.findCredential(key.hash)).toMatchObject({ lastUsedDay: '2026-11-23' });
    expect(await identities.findCredential(cluster.hash)).not.toHaveProperty('lastUsedDay');
  });

  test('notes no day for an expired key, and lets a key in whose day cannot be noted', async () => {
    const [expired, key] = [await stored('api-key', { expiresAt: now / 1000 }), await stored('api-key')];
    await expect(ask(`Bearer ${expired.text}`)).rejects.toThrow(/^Unauthorized$/);
    expect(await identities.findCredential(expired.hash)).not.toHaveProperty('lastUsedDay');
    logged.length = 0;
    engine.faults.failWhen((operation) => operation === 'UpdateItem');
    try {
      expect((await ask(`Bearer ${key.text}`)).principalId).toBe(`api-key:${key.id}`);
    } finally {
      engine.faults.mend();
    }
    expect(logged).toHaveLength(1);
    expect(await identities.findCredential(key.hash)).not.toHaveProperty('lastUsedDay');
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
    const using = { ...deps, verify };
    await expect(ask(`Bearer ${await sign({ sub: 'owner' })}`, { using })).rejects.toThrow(
      'The credential could not be verified',
    );
  });
});

/** A request as API Gateway tells an authorizer of it, as far as this one looks. */
const eventOf = (multiValueHeaders: Event['multiValueHeaders'], arn = methodArn): Event => ({
  methodArn: arn,
  multiValueHeaders,
  requestContext: { identity: { sourceIp: '192.0.2.7' } } as Event['requestContext'],
});

/** Errors with what JSON would leave out. */
const flat = (_key: string, value: unknown): unknown =>
  value instanceof Error
    ? { name: value.name, message: value.message, stack: value.stack, cause: value.cause }
    : value;
