import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Asset, textAsset } from './asset.ts';
import type { Environment } from './env.ts';

export type Installer = {
  /** install.sh as this deployment serves it. */
  readonly script: Asset;
  /** SHA-256 of exactly that text, as `sha256sum --check` reads it. */
  readonly checksum: Asset;
};

/** install.sh with its placeholders; it lies beside the bundle, too (lib/bundle.ts). */
export const readScript = (): Promise<string> => readFile(new URL('install.sh', import.meta.url), 'utf8');

/** What URLs and host:port consist of, without what could end the single quotes around it or a line. */
const plain = /^[A-Za-z0-9.:/[\]_~%-]+$/;

/**
 * The installer of this deployment: it knows its control plane, so that nobody has to name it. Throws when a placeholder
 * does not occur exactly once, or when an address has a character that may not stand between a shell's single quotes.
 */
export function installerOf(
  script: string,
  { API_URL, TUNNEL_ADDRESS }: Pick<Environment, 'API_URL' | 'TUNNEL_ADDRESS'>,
): Installer {
  const addresses = { CATTERY_API_URL: API_URL.replace(/\/+$/, ''), CATTERY_TUNNEL_ADDRESS: TUNNEL_ADDRESS };
  let text = script;
  for (const [name, address] of Object.entries(addresses)) {
    const parts = text.split(`@${name}@`);
    if (parts.length !== 2) throw new Error(`install.sh has @${name}@ ${parts.length - 1} times, not once.`);
    if (!plain.test(address)) throw new Error(`${name} cannot be written into install.sh: ${address}`);
    text = parts.join(address);
  }
  const sum = createHash('sha256').update(text).digest('hex');
  return { script: textAsset(text), checksum: textAsset(`${sum}  install.sh\n`) };
}
