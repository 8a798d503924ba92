import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { base32, type RandomBytes } from '../tenant/identifier.ts';

/** Bearer credentials of ours, told apart by prefix: API key, registration token, cluster token. */
export const tokenPrefixes = { 'api-key': 'cak_', 'registration-token': 'crt_', cluster: 'ccr_' } as const;
export type TokenKind = keyof typeof tokenPrefixes;

const idLength = 16;
const secretLength = 32;
const pattern = /^(cak_|crt_|ccr_)([a-z2-7]{16})([a-z2-7]{32})([a-z2-7]{7})$/;

export type Token = {
  readonly kind: TokenKind;
  /** 16 of [a-z2-7]: names the token in lists and logs; not secret. */
  readonly id: string;
  /** The whole text, shown once: prefix, ID, 160 secret bits, checksum. */
  readonly text: string;
  /** Lower-case hex SHA-256 of the text: all that is stored. */
  readonly hash: string;
};

/** Makes a token from 30 bytes: 80 bits of ID and 160 of secret. */
export function newToken(kind: TokenKind, random: RandomBytes = randomBytes): Token {
  return tokenFromBytes(kind, random(30));
}

/** The same bytes give the same token: cluster tokens are derived by HMAC, not stored (design.md 6). */
export function tokenFromBytes(kind: TokenKind, bytes: Uint8Array): Token {
  const body = tokenPrefixes[kind] + base32(bytes).slice(0, idLength + secretLength);
  const text = body + checksum(body);
  return { kind, id: text.slice(4, 4 + idLength), text, hash: hashToken(text) };
}

/** Reads a token and verifies its checksum; undefined when it is none of ours (mistyped, cut, another's). */
export function parseToken(text: string): Token | undefined {
  const match = pattern.exec(text);
  const [prefix, id] = [match?.[1], match?.[2]];
  if (!prefix || !id || checksum(text.slice(0, -7)) !== text.slice(-7)) return undefined;
  const kind = (Object.keys(tokenPrefixes) as TokenKind[]).find((key) => tokenPrefixes[key] === prefix);
  return kind && { kind, id, text, hash: hashToken(text) };
}

/** Lower-case hex SHA-256. The secret has 160 random bits, so a plain hash is enough. */
export const hashToken = (text: string): string => createHash('sha256').update(text).digest('hex');

function checksum(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return base32(bytes);
}
