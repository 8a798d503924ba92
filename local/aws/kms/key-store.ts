import {
  createECDH,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { readIfPresent, writePrivateFile } from '../private-file.ts';
import type { KeySpec } from '../specs.ts';

const kept = z.object({
  keySpec: z.enum(['ECC_NIST_P256', 'HMAC_256']),
  /** Epoch milliseconds. */
  createdAt: z.number(),
  /** PKCS #8 PEM, or 32 bytes in base64. */
  material: z.string(),
});

/** One key and what it can do. The material never leaves this file's closures. */
export type LocalKey = {
  spec: KeySpec;
  createdAt: number;
  /** ECC only: ECDSA with SHA-256, DER. */
  signMessage?: (message: Buffer) => Buffer;
  signDigest?: (digest: Buffer) => Buffer;
  /** ECC only: SubjectPublicKeyInfo, DER. */
  publicKey?: Buffer;
  /** HMAC only: HMAC-SHA-256. */
  mac?: (message: Buffer) => Buffer;
};

/** Reads the keys from `dataDir` (one file each, 0600) and makes those that are missing. */
export async function openKeys(
  dataDir: string,
  specs: readonly KeySpec[],
  now: () => number,
): Promise<LocalKey[]> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  return Promise.all(
    specs.map(async (spec) => {
      if (!/^[\w-]{1,256}$/.test(spec.keyId)) throw new Error(`Not the id of a key: ${spec.keyId}`);
      const file = path.join(dataDir, `${spec.keyId}.json`);
      const found = await readIfPresent(file);
      if (found === undefined) {
        const made = { keySpec: spec.keySpec, createdAt: now(), material: newMaterial(spec.keySpec) };
        await writePrivateFile(file, JSON.stringify(made));
        return localKey(spec, made);
      }
      await chmod(file, 0o600);
      const stored = kept.parse(JSON.parse(found));
      if (stored.keySpec !== spec.keySpec) {
        throw new Error(
          `Key ${spec.keyId} is ${stored.keySpec} on disk and ${spec.keySpec} in the template. Remove the data directory to start anew.`,
        );
      }
      return localKey(spec, stored);
    }),
  );
}

const newMaterial = (keySpec: KeySpec['keySpec']): string =>
  keySpec === 'HMAC_256'
    ? randomBytes(32).toString('base64')
    : generateKeyPairSync('ec', { namedCurve: 'P-256' })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString();

function localKey(spec: KeySpec, stored: z.infer<typeof kept>): LocalKey {
  const { createdAt } = stored;
  if (stored.keySpec === 'HMAC_256') {
    const secret = Buffer.from(stored.material, 'base64');
    return { spec, createdAt, mac: (message) => createHmac('sha256', secret).update(message).digest() };
  }
  const key = createPrivateKey(stored.material);
  return {
    spec,
    createdAt,
    signMessage: (message) => sign('sha256', message, { key, dsaEncoding: 'der' }),
    signDigest: (digest) => signP256Digest(key, digest),
    publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }),
  };
}

/** The order of P-256's base point (SEC 2, 2.4.2). */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * ECDSA over a digest made elsewhere (SEC 1, 4.1.3), which node:crypto does not offer: it hashes what it signs. The point is
 * OpenSSL's; only the arithmetic modulo the order is ours. Not constant-time: this stands in for KMS on a laptop.
 */
function signP256Digest(key: KeyObject, digest: Buffer): Buffer {
  const secret = number(Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url'));
  const e = number(digest);
  for (;;) {
    const nonce = randomBytes(32);
    const k = number(nonce);
    if (k === 0n || k >= order) continue;
    const curve = createECDH('prime256v1');
    curve.setPrivateKey(nonce);
    const r = number(curve.getPublicKey().subarray(1, 33)) % order;
    // k^(order−2) is k's inverse (Fermat): the order is prime.
    const s = (power(k, order - 2n) * ((e + r * secret) % order)) % order;
    if (r !== 0n && s !== 0n) return derSignature(r, s);
  }
}

const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`);

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = (square * square) % order) {
    if (rest & 1n) result = (result * square) % order;
  }
  return result;
}

/** SEQUENCE of two INTEGERs, each below 128 bytes. */
function derSignature(r: bigint, s: bigint): Buffer {
  const integer = (value: bigint): Buffer => {
    const hex = value.toString(16);
    const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
    const content = (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
    return Buffer.concat([Buffer.of(0x02, content.length), content]);
  };
  const content = Buffer.concat([integer(r), integer(s)]);
  return Buffer.concat([Buffer.of(0x30, content.length), content]);
}
