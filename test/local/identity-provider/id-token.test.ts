import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { importJWK, jwtVerify } from 'jose';
import { audience, idToken } from '../../../local/identity-provider/id-token.ts';
import { ensureSigningKey, findSigningKey } from '../../../local/identity-provider/signing-key.ts';

describe("the identity provider's key and the tokens of the command line", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'signing-key-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const request = () => ({ apiUrl: 'https://127.0.0.1:8443', directory, ttlSeconds: 90 });

  test('the key is made once, kept with 0600, and found again', async () => {
    const made = await ensureSigningKey(directory);
    expect(await ensureSigningKey(directory)).toEqual(made);
    expect(await findSigningKey(directory)).toEqual(made);
    expect((await stat(path.join(directory, 'signing-key.json'))).mode & 0o777).toBe(0o600);
  });

  test('the token needs the key file alone, and lives as long as asked', async () => {
    const { n, e, kty } = await ensureSigningKey(directory);
    if (!n || !e || !kty) throw new Error('not an RSA key');
    const token = await idToken({ ...request(), email: ' Owner@Demo.example' });
    const { payload } = await jwtVerify(token, await importJWK({ n, e, kty }, 'RS256'));
    expect(payload).toEqual({
      iss: 'https://127.0.0.1:8443/oidc',
      aud: audience,
      sub: 'owner@demo.example',
      email: 'owner@demo.example',
      email_verified: true,
      iat: payload.iat,
      exp: Number(payload.iat) + 90,
    });
  });

  test('without a key there is no token, and no key is made that the issuer does not know', async () => {
    await expect(idToken({ ...request(), email: 'owner@demo.example' })).rejects.toThrow('no signing key');
    expect(await findSigningKey(directory)).toBeUndefined();
  });

  test('what is no address gets no token', async () => {
    await ensureSigningKey(directory);
    await expect(idToken({ ...request(), email: 'nonsense' })).rejects.toThrow(
      'nonsense is not an e-mail address.',
    );
  });
});
