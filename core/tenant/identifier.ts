import { randomBytes } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** RFC 4648 base32 in lower case, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet.charAt((buffer >>> bits) & 31);
    }
  }
  return bits > 0 ? text + alphabet.charAt((buffer << (5 - bits)) & 31) : text;
}

/** Source of random bytes; tests pass their own. */
export type RandomBytes = (size: number) => Uint8Array;

export const tenantIdPattern = /^t-[a-z2-7]{20}$/;
export const clusterIdPattern = /^c-[a-z2-7]{20}$/;

/** A tenant's ID: 22 characters, `t-` and 20 of [a-z2-7], 100 random bits (design.md 4). */
export const newTenantId = (random: RandomBytes = randomBytes): string =>
  `t-${base32(random(13)).slice(0, 20)}`;

/** A cluster's ID: 22 characters, `c-` and 20 of [a-z2-7], 100 random bits (design.md 4). */
export const newClusterId = (random: RandomBytes = randomBytes): string =>
  `c-${base32(random(13)).slice(0, 20)}`;
