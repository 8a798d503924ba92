import { createHash } from 'node:crypto';
import { type Asset, textAsset } from './asset.ts';

export type PublishedScript = {
  /** The script as this deployment serves it. */
  readonly script: Asset;
  /** SHA-256 of exactly that text, as `sha256sum --check` reads it. */
  readonly checksum: Asset;
};

/** What URLs and host:port consist of, without what could end the single quotes around it or a line. */
const plain = /^[A-Za-z0-9.:/[\]_~%-]+$/;

/**
 * A script that knows its control plane, so that nobody has to name it. `addresses`: by the placeholder (`@NAME@`) that
 * each replaces. Throws when a placeholder does not occur exactly once, or when an address has a character that may not
 * stand between a shell's single quotes.
 */
export function publishedScript(
  name: string,
  template: string,
  addresses: Readonly<Record<string, string>>,
): PublishedScript {
  let text = template;
  for (const [placeholder, address] of Object.entries(addresses)) {
    const parts = text.split(`@${placeholder}@`);
    if (parts.length !== 2)
      throw new Error(`${name} has @${placeholder}@ ${parts.length - 1} times, not once.`);
    if (!plain.test(address)) throw new Error(`${placeholder} cannot be written into ${name}: ${address}`);
    text = parts.join(address);
  }
  const sum = createHash('sha256').update(text).digest('hex');
  return { script: textAsset(text), checksum: textAsset(`${sum}  ${name}\n`) };
}
