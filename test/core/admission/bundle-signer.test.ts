import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, compactVerify, createLocalJWKSet, decodeProtectedHeader } from 'jose';
import { bundleKeySet } from '../../../core/admission/bundle-key.ts';
import { kmsBundleSigner } from '../../../core/admission/bundle-signer.ts';
import { type KmsStandIn, startKms } from './kms-stand-in.ts';

describe('the signer of bundles', () => {
  let kms: KmsStandIn;
  beforeAll(async () => {
    kms = await startKms();
  });
  afterAll(() => kms.close());
  beforeEach(() => {
    kms.asked.length = 0;
    Object.assign(kms.faults, { GetPublicKey: 'none', Sign: 'none' });
  });
  const operations = () => kms.asked.map(({ operation }) => operation);
  const payload = Buffer.from('{"iss":"https://api.example","names":["käse"]}');

  test('makes a JWS that any JOSE library verifies with the key set, and KMS sees its digest only', async () => {
    const signer = kmsBundleSigner('key-1', kms.client);
    // Many: a short number, or one with a leading zero, is another form in DER and the same 32 bytes here.
    for (let round = 0; round < 30; round += 1) {
      const jws = await signer.sign(payload);
      const keys = createLocalJWKSet(bundleKeySet.parse({ keys: [await signer.key()] }));
      const verified = await compactVerify(jws, keys, { algorithms: ['ES256'] });
      expect(Buffer.from(verified.payload)).toEqual(payload);
      expect(verified.protectedHeader).toEqual({
        alg: 'ES256',
        typ: 'cattery-admission-bundle+jws',
        kid: await calculateJwkThumbprint(await signer.key()),
      });
      const input = jws.slice(0, jws.lastIndexOf('.'));
      expect(kms.asked.at(-1)).toEqual({
        operation: 'Sign',
        input: {
          KeyId: 'key-1',
          Message: createHash('sha256').update(input).digest('base64'),
          MessageType: 'DIGEST',
          SigningAlgorithm: 'ECDSA_SHA_256',
        },
      });
    }
  });

  test('a JWS of which any one character is another is not verified', async () => {
    const signer = kmsBundleSigner('key-1', kms.client);
    const jws = await signer.sign(payload);
    const keys = createLocalJWKSet({ keys: [await signer.key()] });
    const ends = jws.length - 1;
    for (let at = 0; at < jws.length; at += 1) {
      const char = jws.charAt(at);
      // The last character of base64url has bits that say nothing.
      if (char === '.' || jws.charAt(at + 1) === '.' || at === ends) continue;
      const changed = `${jws.slice(0, at)}${char === 'A' ? 'B' : 'A'}${jws.slice(at + 1)}`;
      await expect(compactVerify(changed, keys, { algorithms: ['ES256'] })).rejects.toThrow();
    }
  });

  test('asks for the public key once, also when many sign at the same time, and again after a failure', async () => {
    const signer = kmsBundleSigner('key-1', kms.client);
    kms.faults.GetPublicKey = 'empty';
    await expect(signer.sign(payload)).rejects.toThrow('without a public key');
    expect(operations()).toEqual(['GetPublicKey']);
    kms.faults.GetPublicKey = 'none';
    await Promise.all([signer.sign(payload), signer.sign(payload), signer.key()]);
    await signer.key();
    expect(operations().sort()).toEqual(['GetPublicKey', 'GetPublicKey', 'Sign', 'Sign']);
  });

  test('a key that was put behind the same name signs under its own name', async () => {
    const signer = kmsBundleSigner('alias/bundle', kms.client);
    const before = decodeProtectedHeader(await signer.sign(payload));
    kms.rotate();
    const jws = await signer.sign(payload);
    const after = decodeProtectedHeader(jws);
    expect(after.kid).not.toBe(before.kid);
    expect(after.kid).toBe((await signer.key()).kid);
    await compactVerify(jws, createLocalJWKSet({ keys: [await signer.key()] }));
    expect(operations()).toEqual(['GetPublicKey', 'Sign', 'Sign', 'GetPublicKey', 'Sign']);
  });

  test.each([
    ['throttled', /Rate exceeded/],
    ['unreachable', /socket hang up|ECONNRESET|aborted/],
    ['empty', /without a signature/],
  ] as const)('with KMS %s nothing comes out unsigned', async (fault, told) => {
    const signer = kmsBundleSigner('key-1', kms.client);
    kms.faults.Sign = fault;
    await expect(signer.sign(payload)).rejects.toThrow(told);
    kms.faults.Sign = 'none';
    await expect(signer.sign(payload)).resolves.toMatch(/^[\w-]+\.[\w-]+\.[\w-]{86}$/);
  });
});
