import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  hashToken,
  newToken,
  parseToken,
  tokenFromBytes,
  type TokenKind,
} from '../../../core/credential/token.ts';

const kinds: readonly TokenKind[] = ['api-key', 'registration-token', 'cluster'];

describe('a token', () => {
  test('is told apart by its prefix and reads back as what was made', () => {
    for (const kind of kinds) {
      const token = newToken(kind);
      expect(token.text).toMatch(/^(?:cak|crt|ccr)_[a-z2-7]{55}$/);
      expect(parseToken(token.text)).toEqual(token);
      expect(token.hash).toBe(hashToken(token.text));
    }
    expect(new Set(kinds.map((kind) => newToken(kind).text.slice(0, 4)))).toEqual(
      new Set(['cak_', 'crt_', 'ccr_']),
    );
  });

  test('of the same bytes is the same, of others another', () => {
    const bytes = randomBytes(30);
    expect(tokenFromBytes('cluster', bytes)).toEqual(tokenFromBytes('cluster', Buffer.from(bytes)));
    for (let at = 0; at < 30; at += 1) {
      const other = Buffer.from(bytes);
      other[at] = (other[at] ?? 0) ^ 1;
      expect(tokenFromBytes('cluster', other).hash).not.toBe(tokenFromBytes('cluster', bytes).hash);
    }
  });

  test('with any one character changed, cut or added is none', () => {
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 30, maxLength: 30 }),
        fc.nat(54),
        fc.nat(31),
        (bytes, at, letter) => {
          const { text } = tokenFromBytes('registration-token', bytes);
          const index = at + 4;
          const changed = text.slice(0, index) + (alphabet[letter] ?? '') + text.slice(index + 1);
          expect(parseToken(changed) === undefined).toBe(changed !== text);
          expect(parseToken(text.slice(0, index) + text.slice(index + 1))).toBeUndefined();
          expect(parseToken(`${text}a`)).toBeUndefined();
          expect(parseToken(` ${text}`)).toBeUndefined();
          expect(parseToken(`${text}\n`)).toBeUndefined();
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  test('of one kind with the prefix of another is none: the checksum covers it', () => {
    const { text } = newToken('registration-token');
    expect(parseToken(text.replace('crt_', 'cak_'))).toBeUndefined();
  });
});
