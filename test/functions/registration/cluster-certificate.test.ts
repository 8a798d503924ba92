import 'reflect-metadata';
import { createHash, createPublicKey, X509Certificate as NodeCertificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, test } from '@jest/globals';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from '@peculiar/x509';
import { keyIdentifier } from '../../../core/certificate/certificate-signer.ts';
import { newSerial } from '../../../core/certificate/serial-number.ts';
import {
  beginningOf,
  endOf,
  fingerprintOfPem,
  makeClusterCertificate,
} from '../../../functions/registration/cluster-certificate.ts';
import { softwareSigner } from '../../core/certificate/software-signer.ts';
import { ecPair, type Pair } from './certificate-requests.ts';

const now = Date.UTC(2026, 10, 23, 8, 0, 0, 999);
const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';
const clusterId = 'c-aaaaaaaaaaaaaaaaaaaa';

describe('a cluster’s certificate', () => {
  const signer = softwareSigner();
  let pair: Pair;
  let text: string;
  let parsed: X509Certificate;
  let node: NodeCertificate;
  beforeAll(async () => {
    pair = ecPair();
    text = await makeClusterCertificate(signer, {
      tenantId,
      clusterId,
      trustDomain: 'cattery.test',
      spki: pair.publicKey.export({ format: 'der', type: 'spki' }),
      serial: newSerial((size) => new Uint8Array(size).fill(0xff)),
      notBefore: beginningOf(now),
    });
    parsed = new X509Certificate(text);
    node = new NodeCertificate(text);
  });

  test('is signed by the CA, for the cluster’s key, with the names that we give', async () => {
    const ca = createPublicKey({ key: Buffer.from(await signer.publicKey()), format: 'der', type: 'spki' });
    expect(node.verify(ca)).toBe(true);
    expect(node.publicKey.equals(pair.publicKey)).toBe(true);
    expect([node.subject, node.issuer]).toEqual([`CN=${clusterId}`, 'CN=Cattery cluster CA']);
    expect(parsed.getExtension(AuthorityKeyIdentifierExtension)?.keyId).toBe(
      keyIdentifier(await signer.publicKey()),
    );
  });

  test('is no CA, signs only, identifies a client, and bears one URI and nothing else', () => {
    const constraints = parsed.getExtension(BasicConstraintsExtension);
    expect([constraints?.ca, constraints?.critical, constraints?.pathLength]).toEqual([
      false,
      true,
      undefined,
    ]);
    const usage = parsed.getExtension(KeyUsagesExtension);
    expect([usage?.usages, usage?.critical]).toEqual([KeyUsageFlags.digitalSignature, true]);
    expect(parsed.getExtension(ExtendedKeyUsageExtension)?.usages).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(parsed.getExtension(SubjectAlternativeNameExtension)?.names.toJSON()).toEqual([
      { type: 'url', value: `spiffe://cattery.test/tenant/${tenantId}/cluster/${clusterId}` },
    ]);
    expect(parsed.extensions).toHaveLength(5);
  });

  test('is valid from 5 minutes ago, for 398 days, in whole seconds', () => {
    expect(node.validFromDate.toISOString()).toBe('2026-11-23T07:55:00.000Z');
    expect(node.validToDate.getTime() - node.validFromDate.getTime()).toBe(398 * 86_400_000);
    expect(node.validToDate.getTime()).toBe(endOf(beginningOf(now)));
  });

  test.each([0x00, 0xff, 0x80])(
    'has a positive serial number of 16 bytes, whatever is random (%i)',
    (byte) => {
      const serial = newSerial((size) => new Uint8Array(size).fill(byte));
      expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/);
    },
  );

  test('is named by the SHA-256 of its DER', () => {
    expect(fingerprintOfPem(text)).toBe(createHash('sha256').update(node.raw).digest('hex'));
    expect(text).toMatch(/^-----BEGIN CERTIFICATE-----\n[\s\S]+\n-----END CERTIFICATE-----\n$/);
  });

  test.each([
    ['P-256', 'TLSv1.2'],
    ['P-256', 'TLSv1.3'],
    ['P-384', 'TLSv1.2'],
    ['P-384', 'TLSv1.3'],
  ] as const)(
    'with a key on %s serves both as TLS client and, as Guardian does, as server, in %s',
    async (curve, version) => {
      const key = ecPair(curve);
      const certificate = await makeClusterCertificate(signer, {
        tenantId,
        clusterId,
        trustDomain: 'cattery.test',
        spki: key.publicKey.export({ format: 'der', type: 'spki' }),
        serial: newSerial((size) => new Uint8Array(size)),
        notBefore: beginningOf(now),
      });
      const both = {
        cert: certificate,
        key: key.privateKey.export({ format: 'pem', type: 'pkcs8' }),
        minVersion: version as SecureVersion,
        maxVersion: version as SecureVersion,
        rejectUnauthorized: false,
      };
      const server = createServer({ ...both, requestCert: true });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
      const client = connect({ ...both, host: '127.0.0.1', port: (server.address() as AddressInfo).port });
      try {
        const [[peer]] = await Promise.all([accepted, once(client, 'secureConnect')]);
        for (const socket of [peer, client]) {
          const { raw } = socket.getPeerCertificate();
          expect(createHash('sha256').update(raw).digest('hex')).toBe(fingerprintOfPem(certificate));
        }
        peer.destroy();
      } finally {
        client.destroy();
        server.close();
      }
    },
  );
});
