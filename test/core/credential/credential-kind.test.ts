import { describe, expect, test } from '@jest/globals';
import { credentialKind } from '../../../core/credential/credential-kind.ts';
import { newToken } from '../../../core/credential/token.ts';

describe('a refused credential', () => {
  test.each([
    [newToken('api-key').text, 'api-key'],
    ['cak_', 'api-key'],
    ['crt_cut', 'registration-token'],
    ['ccr_x', 'cluster'],
    ['eyJhbGciOiJub25lIn0.e30.c2ln', 'user'],
    ['eyJhbGciOiJub25lIn0.e30.', 'other'],
    ['CAK_x', 'other'],
    ['x', 'other'],
    [undefined, 'other'],
  ])('%s is of the kind %s', (bearer, kind) => {
    expect(credentialKind(bearer)).toBe(kind);
  });
});
