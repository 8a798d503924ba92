import { type TokenKind, tokenPrefixes } from './token.ts';

/** What a refused credential was meant to be: one of ours, an issuer's token (`user`), or nothing that we know. */
export const credentialKinds = ['api-key', 'registration-token', 'cluster', 'user', 'other'] as const;
export type CredentialKind = (typeof credentialKinds)[number];

/** Told by its form alone, so that a mistyped, cut or invented key counts as a key. `bearer`: the text after `Bearer `, if any. */
export function credentialKind(bearer: string | undefined): CredentialKind {
  const [ours] = Object.entries(tokenPrefixes).find(([, prefix]) => bearer?.startsWith(prefix)) ?? [];
  if (ours) return ours as TokenKind;
  return bearer !== undefined && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(bearer) ? 'user' : 'other';
}
