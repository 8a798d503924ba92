import { createHmac, generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { newSerial } from '../../../core/certificate/serial-number.ts';
import type { IssuedCertificate } from '../../../core/cluster/cluster-repository.ts';
import {
  beginningOf,
  endOf,
  makeClusterCertificate,
} from '../../../functions/registration/cluster-certificate.ts';
import { judgeProof } from '../../../functions/registration/renewal-proof.ts';
import { softwareSigner } from '../../core/certificate/software-signer.ts';
import { ecPair, makeRequest, type Pair } from './certificate-requests.ts';
import { makeProof } from './proofs.ts';

const now = Date.UTC(2026, 10, 23, 8);
const clusterId = 'c-aaaaaaaaaaaaaaaaaaaa';
const csr = makeRequest(ecPair());

describe('a proof of possession', () => {
  const signer = softwareSigner();
  const pair = ecPair();
  let certificate: IssuedCertificate;

  const certified = async ({ publicKey }: Pair): Promise<IssuedCertificate> => ({
    certificate: await makeClusterCertificate(signer, {
      tenantId: 't-aaaaaaaaaaaaaaaaaaaa',
      clusterId,
      trustDomain: 'cattery.test',
      spki: publicKey.export({ format: 'der', type: 'spki' }),
      serial: newSerial((size) => new Uint8Array(size).fill(7)),
      notBefore: beginningOf(now),
    }),
    fingerprint: 'not looked at',
    notAfter: endOf(beginningOf(now)),
  });
  beforeAll(async () => {
    certificate = await certified(pair);
  });

  const judge = (proof: string, certificates = [certificate], sent = csr) =>
    judgeProof({ proof, csr: sent, clusterId, certificates, now });
  const claim = { clusterId, csr, now };

  test.each([
    ['P-256', () => ecPair()],
    ['P-384', () => ecPair('P-384')],
    ['RSA 2048', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ])('by a key of %s is good', async (_kind, make) => {
    const its = make();
    expect(await judge(makeProof(its, claim), [await certified(its)])).toEqual({ kind: 'good' });
  });

  test('by the key of any of the cluster’s valid certificates is good', async () => {
    const next = ecPair('P-384');
    const both = [certificate, await certified(next)];
    expect(await judge(makeProof(pair, claim), both)).toEqual({ kind: 'good' });
    expect(await judge(makeProof(next, claim), both)).toEqual({ kind: 'good' });
  });

  test.each([
    [0, 'good'],
    [300, 'good'],
    [-300, 'good'],
    [301, 'stale'],
    [-301, 'stale'],
  ])('made %d s from now is %s', async (seconds, kind) => {
    const verdict = await judge(makeProof(pair, { ...claim, now: now + seconds * 1_000 }));
    expect(verdict.kind).toBe(kind);
  });

  const parts = () => makeProof(pair, claim).split('.') as [string, string, string];
  const unsigned = (header: object) =>
    `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${parts()[1]}`;
  test.each<[string, () => string]>([
    ['by another key', () => makeProof(ecPair(), claim)],
    ['for another cluster', () => makeProof(pair, { ...claim, clusterId: 'c-bbbbbbbbbbbbbbbbbbbb' })],
    ['for another request', () => makeProof(pair, { ...claim, csr: makeRequest(ecPair()) })],
    ['for the same request with another line end', () => makeProof(pair, { ...claim, csr: csr.trim() })],
    ['without a time', () => makeProof(pair, claim, { payload: { iat: undefined } })],
    ['with a time that is text', () => makeProof(pair, claim, { payload: { iat: '1' } })],
    ['whose payload was changed', () => `${parts()[0]}.${parts()[1].slice(0, -2)}AA.${parts()[2]}`],
    ['without a signature', () => `${unsigned({ alg: 'none' })}.`],
    [
      'with a MAC of the public key in a signature’s place',
      () => {
        const text = unsigned({ alg: 'HS256' });
        const publicKey = pair.publicKey.export({ format: 'pem', type: 'spki' });
        return `${text}.${createHmac('sha256', publicKey).update(text).digest('base64url')}`;
      },
    ],
    ['that says another algorithm', () => makeProof(pair, claim, { header: { alg: 'ES384' } })],
    ['with an unknown critical header', () => makeProof(pair, claim, { header: { crit: ['x'], x: 1 } })],
    ['that is no JWS', () => 'proof'],
    ['that is empty', () => ''],
  ])('%s is wrong', async (_what, make) => {
    expect((await judge(make())).kind).toBe('wrong');
  });

  test('says what is wrong, and nothing of what it holds', async () => {
    const verdict = await judge(makeProof(pair, claim, { payload: { sub: 'secret-of-somebody' } }));
    expect(verdict).toMatchObject({ kind: 'wrong', reason: expect.stringContaining('another cluster') });
    expect(JSON.stringify(verdict)).not.toContain('secret-of-somebody');
  });
});
