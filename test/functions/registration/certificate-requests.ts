import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** Certificate requests made by hand, so that tests may make bad ones too. */
export type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

export const ecPair = (namedCurve = 'P-256'): Pair => generateKeyPairSync('ec', { namedCurve });

const tlv = (tag: number, ...content: Uint8Array[]): Buffer => {
  const body = Buffer.concat(content);
  const length =
    body.length < 128
      ? Buffer.from([body.length])
      : body.length < 256
        ? Buffer.from([0x81, body.length])
        : Buffer.from([0x82, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([Buffer.from([tag]), length, body]);
};
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'));

const algorithms: Readonly<Record<string, Buffer>> = {
  ec: tlv(0x30, oid('2a8648ce3d040302')),
  rsa: tlv(0x30, oid('2a864886f70d01010b'), tlv(0x05)),
  ed25519: tlv(0x30, oid('2b6570')),
};

type Options = {
  /** Common name, which must not matter. */
  readonly commonName?: string;
  /** Who signs; the key itself by default. */
  readonly signedBy?: Pair;
};

/** A PKCS #10 request (RFC 2986), DER. */
export function makeRequestDer(
  pair: Pair,
  { commonName = 'ignored', signedBy = pair }: Options = {},
): Buffer {
  const name = tlv(0x30, tlv(0x31, tlv(0x30, oid('550403'), tlv(0x0c, Buffer.from(commonName)))));
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
  const info = tlv(0x30, tlv(0x02, Buffer.from([0])), name, spki, tlv(0xa0));
  const type = signedBy.privateKey.asymmetricKeyType ?? '';
  const algorithm = algorithms[type] ?? tlv(0x30, oid('2a864886f70d01010b'), tlv(0x05));
  const signature = sign(type === 'ed25519' ? null : 'sha256', info, signedBy.privateKey);
  return tlv(0x30, info, algorithm, tlv(0x03, Buffer.from([0]), signature));
}

export const pem = (der: Uint8Array, label = 'CERTIFICATE REQUEST'): string =>
  `-----BEGIN ${label}-----\n${
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g)
      ?.join('\n') ?? ''
  }\n-----END ${label}-----\n`;

export const makeRequest = (pair: Pair, options?: Options): string => pem(makeRequestDer(pair, options));

/** Hex SHA-256 of a pair's SPKI. */
export const keyHashOf = (pair: Pair): string =>
  createHash('sha256')
    .update(pair.publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex');
