import { createHash, createPublicKey, verify } from 'node:crypto';
import {
  DescribeKeyCommand,
  GenerateMacCommand,
  GetPublicKeyCommand,
  SignCommand,
  VerifyMacCommand,
} from '@aws-sdk/client-kms';
import type { KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EndpointUnderTest, functionRole, macKeyArn, signKeyArn } from '../endpoint-fixture.ts';

let under: EndpointUnderTest;
let client: KMSClient;
beforeAll(async () => {
  under = await EndpointUnderTest.start();
  client = under.kms(under.endpoint.credentialsFor(functionRole));
});
afterAll(() => under.stop());

const Message = Buffer.from('to be signed');
const SigningAlgorithm = 'ECDSA_SHA_256';

async function publicKey() {
  const answer = await client.send(new GetPublicKeyCommand({ KeyId: signKeyArn }));
  expect(answer).toMatchObject({ KeyId: signKeyArn, KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
  return createPublicKey({ key: Buffer.from(answer.PublicKey ?? []), format: 'der', type: 'spki' });
}

test.each(['RAW', 'DIGEST'] as const)(
  'signatures of type %s are DER and verify with the public key',
  async (MessageType) => {
    const key = await publicKey();
    const given = MessageType === 'RAW' ? Message : createHash('sha256').update(Message).digest();
    // Many, because one in two has a leading zero byte in its DER form and one in 256 a short number.
    for (let round = 0; round < 40; round += 1) {
      const { Signature } = await client.send(
        new SignCommand({ KeyId: signKeyArn, Message: given, MessageType, SigningAlgorithm }),
      );
      const signature = Buffer.from(Signature ?? []);
      expect(verify('sha256', Message, { key, dsaEncoding: 'der' }, signature)).toBe(true);
      expect(verify('sha256', Buffer.from('other'), { key, dsaEncoding: 'der' }, signature)).toBe(false);
    }
  },
);

test('a digest of another length, another algorithm and the other kind of key are refused', async () => {
  const sign = (more: object) =>
    client.send(new SignCommand({ KeyId: signKeyArn, Message, SigningAlgorithm, ...more }));
  await expect(sign({ MessageType: 'DIGEST' })).rejects.toMatchObject({ name: 'ValidationException' });
  await expect(sign({ Message: Buffer.alloc(4_097) })).rejects.toMatchObject({ name: 'ValidationException' });
  // By policy, as the role may sign with one algorithm only …
  await expect(sign({ SigningAlgorithm: 'ECDSA_SHA_384' })).rejects.toMatchObject({
    name: 'AccessDeniedException',
  });
  // … and by the keys themselves.
  const operator = under.kms(under.endpoint.operator);
  await expect(
    operator.send(new SignCommand({ KeyId: macKeyArn, Message, SigningAlgorithm })),
  ).rejects.toMatchObject({
    name: 'InvalidKeyUsageException',
  });
  await expect(sign({ KeyId: 'unknown' })).rejects.toMatchObject({ name: 'NotFoundException' });
});

test('a MAC is the same every time, is verified, and a changed one is refused', async () => {
  const make = new GenerateMacCommand({ KeyId: macKeyArn, MacAlgorithm: 'HMAC_SHA_256', Message });
  const { Mac } = await client.send(make);
  expect(Mac).toHaveLength(32);
  expect((await client.send(make)).Mac).toEqual(Mac);
  const check = (mac: Uint8Array | undefined) =>
    client.send(new VerifyMacCommand({ KeyId: macKeyArn, MacAlgorithm: 'HMAC_SHA_256', Message, Mac: mac }));
  expect((await check(Mac)).MacValid).toBe(true);
  const changed = Uint8Array.from(Mac ?? [], (byte, n) => (n === 0 ? byte ^ 1 : byte));
  await expect(check(changed)).rejects.toMatchObject({ name: 'KMSInvalidMacException' });
});

test('DescribeKey tells the key, also by its id and its alias', async () => {
  const operator = under.kms(under.endpoint.operator);
  for (const KeyId of [signKeyArn, 'mrk-ca', 'alias/ca']) {
    const { KeyMetadata } = await operator.send(new DescribeKeyCommand({ KeyId }));
    expect(KeyMetadata).toMatchObject({
      Arn: signKeyArn,
      KeySpec: 'ECC_NIST_P256',
      KeyState: 'Enabled',
      MultiRegion: true,
    });
  }
});
