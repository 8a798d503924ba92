import { readFile } from 'node:fs/promises';
import type { Environment } from './env.ts';
import { type PublishedScript, publishedScript } from './published-script.ts';

/** install.sh with its placeholders; it lies beside the bundle, too (lib/bundle.ts). */
export const readScript = (): Promise<string> => readFile(new URL('install.sh', import.meta.url), 'utf8');

/** The installer of this deployment. Throws as publishedScript does. */
export const installerOf = (
  script: string,
  { API_URL, TUNNEL_ADDRESS }: Pick<Environment, 'API_URL' | 'TUNNEL_ADDRESS'>,
): PublishedScript =>
  publishedScript('install.sh', script, {
    CATTERY_API_URL: API_URL.replace(/\/+$/, ''),
    CATTERY_TUNNEL_ADDRESS: TUNNEL_ADDRESS,
  });
