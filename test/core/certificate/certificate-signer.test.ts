import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { KMSClient } from '@aws-sdk/client-kms';
import {
  clusterCaName,
  keyIdentifier,
  kmsSigner,
  signCertificate,
} from '../../../core/certificate/certificate-signer.ts';
import { softwareSigner } from './software-signer.ts';

describe('the signer behind a KMS key', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const asked: { operation: string; input: Record<string, string> }[] = [];
  let broken = false;
  let server: Server;
  let kms: KMSClient;
  beforeAll(async () => {
    // Speaks KMS's own protocol (AWS JSON 1.1), so that what the SDK sends is what is judged.
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
        const input = JSON.parse(body) as Record<string, string>;
        asked.push({ operation, input });
        const answer =
          operation === 'Sign'
            ? {
                Signature: sign('sha256', Buffer.from(input.Message ?? '', 'base64'), privateKey).toString(
                  'base64',
                ),
              }
            : { PublicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64') };
        response
          .writeHead(broken ? 400 : 200, { 'Content-Type': 'application/x-amz-json-1.1' })
          .end(JSON.stringify(broken ? { __type: 'DisabledException' } : answer));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    kms = new KMSClient({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    });
  });
  afterAll(async () => {
    kms.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test('asks for its public key once, and again after a failure', async () => {
    const signer = kmsSigner('key-1', kms);
    broken = true;
    await expect(signer.publicKey()).rejects.toThrow();
    broken = false;
    asked.length = 0;
    const keys = await Promise.all([signer.publicKey(), signer.publicKey()]);
    expect(Buffer.from(keys[0])).toEqual(publicKey.export({ format: 'der', type: 'spki' }));
    expect(asked).toEqual([{ operation: 'GetPublicKey', input: { KeyId: 'key-1' } }]);
  });

  test('signs certificates that its public key verifies', async () => {
    const signer = kmsSigner('key-1', kms);
    const leaf = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
    asked.length = 0;
    const made = await signCertificate(signer, {
      serialNumber: '4001',
      subject: 'CN=leaf',
      issuer: clusterCaName,
      notBefore: new Date(0),
      notAfter: new Date(1_000_000),
      publicKey: leaf.export({ format: 'der', type: 'spki' }),
      extensions: [],
    });
    const certificate = new X509Certificate(made.toString('pem'));
    expect(certificate.verify(publicKey)).toBe(true);
    expect(certificate.publicKey.equals(leaf)).toBe(true);
    expect([certificate.issuer, certificate.subject]).toEqual([clusterCaName, 'CN=leaf']);
    expect(asked).toMatchObject([
      { operation: 'Sign', input: { KeyId: 'key-1', MessageType: 'RAW', SigningAlgorithm: 'ECDSA_SHA_256' } },
    ]);
  });
});

test('signatures of every shape that DER gives them become certificates that verify', async () => {
  // r and s may be short or need a leading zero; 200 signatures hold several of each.
  const signer = softwareSigner();
  const publicKey = createPublicKey({
    key: Buffer.from(await signer.publicKey()),
    format: 'der',
    type: 'spki',
  });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const lengths = new Set<number>();
  for (let serial = 0; serial < 200; serial += 1) {
    const made = await signCertificate(
      {
        ...signer,
        sign: async (message) => {
          const signature = await signer.sign(message);
          lengths.add(signature.length);
          return signature;
        },
      },
      {
        serialNumber: (0x4000 + serial).toString(16),
        subject: 'CN=x',
        issuer: 'CN=y',
        notBefore: new Date(0),
        notAfter: new Date(1_000_000),
        publicKey: spki,
        extensions: [],
      },
    );
    expect(new X509Certificate(made.toString('pem')).verify(publicKey)).toBe(true);
  }
  expect(lengths.size).toBeGreaterThan(2);
});

test('a key identifier is the SHA-1 of the key’s bits, as the certificates of others have it', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const { SubjectKeyIdentifierExtension, PublicKey } = await import('@peculiar/x509');
  const theirs = await SubjectKeyIdentifierExtension.create(new PublicKey(new Uint8Array(spki)));
  expect(keyIdentifier(spki)).toBe(theirs.keyId);
});
