import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { readCertificateRequest } from '../../../functions/registration/certificate-request.ts';
import { ecPair, keyHashOf, makeRequest, makeRequestDer, type Pair, pem } from './certificate-requests.ts';

const codeOf = async (csr: string): Promise<string> => {
  try {
    await readCertificateRequest(csr);
    return 'accepted';
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
};

const rsaPair = (modulusLength: number): Pair => generateKeyPairSync('rsa', { modulusLength });

describe('a certificate request', () => {
  test.each([
    ['EC P-256', ecPair('P-256')],
    ['EC P-384', ecPair('P-384')],
    ['RSA 2048', rsaPair(2048)],
  ])('with a key of %s is accepted, and its key is what counts', async (_name, pair) => {
    const { spki, keyHash } = await readCertificateRequest(makeRequest(pair, { commonName: 'c-evil' }));
    expect(Buffer.from(spki)).toEqual(pair.publicKey.export({ format: 'der', type: 'spki' }));
    expect(keyHash).toBe(keyHashOf(pair));
  });

  test('is read with the old label, text around it and CRLF', async () => {
    const der = makeRequestDer(ecPair());
    const text = `Certificate Request:\r\n${pem(der, 'NEW CERTIFICATE REQUEST').replaceAll('\n', '\r\n')}`;
    expect(await codeOf(text)).toBe('accepted');
  });

  test.each([
    ['RSA 1024', rsaPair(1024)],
    ['RSA 2047', rsaPair(2047)],
    ['EC P-521', ecPair('P-521')],
    ['EC P-224', ecPair('P-224')],
    ['EC secp256k1', ecPair('secp256k1')],
    ['Ed25519', generateKeyPairSync('ed25519')],
    ['RSA-PSS', generateKeyPairSync('rsa-pss', { modulusLength: 2048 })],
    [
      'EC with explicit parameters',
      generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }),
    ],
  ])('with a key of %s is refused with CSR_KEY_WEAK', async (_name, pair) => {
    expect(await codeOf(makeRequest(pair))).toBe('CSR_KEY_WEAK');
  });

  test.each([
    ['beyond 8192 bits', 9_000, 'AQAB'],
    ['with an even exponent', 2_048, 'AQAC'],
    ['with an exponent beyond 31 bits', 2_048, 'AQAAAAE'],
    ['with exponent 1', 2_048, 'AQ'],
  ])('with an RSA key %s is refused with CSR_KEY_WEAK', async (_name, bits, e) => {
    const modulus = Buffer.alloc(bits / 8, 0xa5);
    const publicKey = createPublicKey({
      format: 'jwk',
      key: { kty: 'RSA', n: modulus.toString('base64url'), e },
    });
    expect(await codeOf(makeRequest({ publicKey, privateKey: ecPair().privateKey }))).toBe('CSR_KEY_WEAK');
  });

  test('signed by another key is refused with CSR_SIGNATURE_INVALID', async () => {
    expect(await codeOf(makeRequest(ecPair(), { signedBy: ecPair() }))).toBe('CSR_SIGNATURE_INVALID');
    expect(await codeOf(makeRequest(ecPair(), { signedBy: rsaPair(2048) }))).toBe('CSR_SIGNATURE_INVALID');
  });

  test('changed after it was signed is refused with CSR_SIGNATURE_INVALID', async () => {
    const der = makeRequestDer(ecPair(), { commonName: 'before' });
    der.set(Buffer.from('after!'), der.indexOf('before'));
    expect(await codeOf(pem(der))).toBe('CSR_SIGNATURE_INVALID');
  });

  const der = makeRequestDer(ecPair());
  test.each([
    ['nothing', ''],
    ['no PEM', der.toString('base64')],
    ['a certificate', pem(der, 'CERTIFICATE')],
    ['two requests', pem(der) + pem(der)],
    ['noise', pem(Buffer.alloc(200, 7))],
    ['half a request', pem(der.subarray(0, der.length >> 1))],
    ['an empty block', '-----BEGIN CERTIFICATE REQUEST-----\n\n-----END CERTIFICATE REQUEST-----\n'],
  ])('that is %s is refused with CSR_MALFORMED', async (_name, text) => {
    expect(await codeOf(text)).toBe('CSR_MALFORMED');
  });

  test('whose key is no point of its curve is refused with CSR_MALFORMED', async () => {
    const pair = ecPair();
    const request = makeRequestDer(pair);
    const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
    request.fill(0x11, request.indexOf(spki) + spki.length - 32, request.indexOf(spki) + spki.length);
    expect(await codeOf(pem(request))).toBe('CSR_MALFORMED');
  });

  test('of random damage is refused with a code of its own, never by another error', async () => {
    let seed = 42;
    const next = (limit: number) => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) % limit;
    const codes = new Set<string>();
    for (let round = 0; round < 300; round += 1) {
      const damaged = Buffer.from(der);
      damaged[next(damaged.length)] = next(256);
      codes.add(await codeOf(pem(damaged)));
    }
    const known = new Set(['accepted', 'CSR_KEY_WEAK', 'CSR_MALFORMED', 'CSR_SIGNATURE_INVALID']);
    expect([...codes].filter((code) => !known.has(code))).toEqual([]);
    expect(codes).toContain('CSR_SIGNATURE_INVALID');
  });
});
