import type { RandomBytes } from '../tenant/identifier.ts';

/** A serial number: 16 random bytes, positive and without leading zeros (RFC 5280 §4.1.2.2), lower-case hex. */
export function newSerial(random: RandomBytes): string {
  const bytes = Buffer.from(random(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
