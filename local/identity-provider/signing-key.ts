import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import * as z from 'zod';
import { readIfPresent, writePrivateFile } from '../aws/private-file.ts';

const kept = z.looseObject({
  kid: z.string(),
  alg: z.literal('RS256'),
  kty: z.literal('RSA'),
  d: z.string(),
});

/** A private RSA key in JWK form, with its ID. */
export type SigningKey = JWK & { readonly kid: string };

const fileIn = (directory: string) => path.join(directory, 'signing-key.json');

/** The issuer's key; undefined when no issuer ran over this directory yet. */
export async function findSigningKey(directory: string): Promise<SigningKey | undefined> {
  const text = await readIfPresent(fileIn(directory));
  return text === undefined ? undefined : kept.parse(JSON.parse(text));
}

/** The issuer's key, made at the first start and kept (0600), so that tokens stay valid over a restart. */
export async function ensureSigningKey(directory: string): Promise<SigningKey> {
  const known = await findSigningKey(directory);
  if (known) return known;
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const made = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: randomUUID() };
  await writePrivateFile(fileIn(directory), JSON.stringify(made));
  return made;
}
