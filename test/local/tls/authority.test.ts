import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect as dialLoopback } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, createServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { localAuthority } from '../../../local/tls/authority.ts';

const day = 86_400_000;
const openssl = (...args: string[]) => spawnSync('openssl', args, { encoding: 'utf8' });
const testWithOpenssl = openssl('version').status === 0 ? test : test.skip;

describe("the laptop's certificate authority", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'authority-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('is made once and found again, its key readable by its owner alone', async () => {
    const { certificate } = await localAuthority(directory);
    expect((await localAuthority(directory)).certificate).toBe(certificate);
    expect(await readdir(directory)).toEqual(['authority.json']);
    expect((await stat(path.join(directory, 'authority.json'))).mode & 0o777).toBe(0o600);
    const { ca, keyUsage, issuer, subject } = new X509Certificate(certificate);
    expect({ ca, keyUsage }).toEqual({ ca: true, keyUsage: undefined });
    expect(issuer).toBe(subject);
  });

  test('found again, it issues what its first certificate verifies', async () => {
    const { certificate } = await localAuthority(directory);
    const leaf = new X509Certificate(
      (await (await localAuthority(directory)).issue(['localhost'])).certificate,
    );
    expect(leaf.verify(new X509Certificate(certificate).publicKey)).toBe(true);
    expect(leaf.ca).toBe(false);
  });

  test('a file that is no authority is an error, and stays', async () => {
    const file = path.join(directory, 'authority.json');
    await writeFile(file, '{"certificate":"half');
    await expect(localAuthority(directory)).rejects.toThrow();
    expect((await stat(file)).size).toBe(20);
  });

  test('a leaf is good from a day ago for 90 days, and no two have one serial number', async () => {
    const now = Date.UTC(2027, 0, 1);
    const authority = await localAuthority(directory, () => now);
    const [one, two] = await Promise.all([authority.issue(['localhost']), authority.issue(['localhost'])]);
    const leaf = new X509Certificate(one.certificate);
    expect([leaf.validFromDate.getTime(), leaf.validToDate.getTime()]).toEqual([now - day, now + 90 * day]);
    expect(leaf.serialNumber).not.toBe(new X509Certificate(two.certificate).serialNumber);
    expect(one.key).not.toBe(two.key);
  });

  test.each([
    ['127.0.0.1', 'an IPv4 address'],
    ['::1', 'an IPv6 address'],
    ['localhost', 'a name'],
    ['my-laptop.example', 'a name'],
  ])('a TLS client that verifies takes the leaf for %s (%s), and for no other', async (host) => {
    const authority = await localAuthority(directory);
    const { certificate: cert, key } = await authority.issue([
      '127.0.0.1',
      '::1',
      'localhost',
      'my-laptop.example',
    ]);
    const server = createServer({ cert, key }, (socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const dial = (name: string, ca: string) =>
      new Promise<string>((resolve) => {
        // `host` is what the certificate is checked against; the connection is to loopback all the same.
        const socket = connect({ socket: dialLoopback(port, '127.0.0.1'), host: name, ca });
        socket
          .once('secureConnect', () => resolve('verified'))
          .once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      });
    try {
      expect(await dial(host, authority.certificate)).toBe('verified');
      expect(await dial('another.example', authority.certificate)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
      const other = await localAuthority(await mkdtemp(path.join(directory, 'other-')));
      expect(await dial(host, other.certificate)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  testWithOpenssl('openssl verifies it strictly, as a server of these names', async () => {
    const authority = await localAuthority(directory);
    const { certificate, key } = await authority.issue(['192.0.2.7', 'fd00::7', 'my-laptop.example']);
    const [ca, leaf] = [path.join(directory, 'ca.pem'), path.join(directory, 'leaf.pem')];
    await writeFile(ca, authority.certificate);
    await writeFile(leaf, certificate);
    const verify = (...args: string[]) =>
      openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca, ...args, leaf).status;
    expect(verify('-verify_hostname', 'my-laptop.example')).toBe(0);
    expect(verify('-verify_ip', '192.0.2.7')).toBe(0);
    expect(verify('-verify_ip', 'fd00::7')).toBe(0);
    expect(verify('-verify_hostname', 'another.example')).not.toBe(0);
    const keyFile = path.join(directory, 'leaf.key');
    await writeFile(keyFile, key);
    const publicKey = openssl('pkey', '-in', keyFile, '-pubout').stdout;
    expect(publicKey).toBe(openssl('x509', '-in', leaf, '-pubkey', '-noout').stdout);
  });
});
